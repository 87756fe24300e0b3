"""Freed memory stays with the process: large tensors of one step are not mapped anew in the next.

By default the C library gives every block of more than a few megabytes back to the system as soon as it is
freed, and the pages of the next one are cleared again when they are first touched. A training step on the CPU
allocates the same sizes over and over: keeping them makes point networks up to twice as fast, for up to half
as much memory again (`benchmarks/RESULTS.md`). No bit of a result changes.
"""

import ctypes
import os
import sys
from functools import cache

M_TRIM_THRESHOLD, M_MMAP_MAX = -1, -4
"""Parameters of glibc's mallopt (mallopt(3))."""
KEPT = 1 << 30
"""Free bytes at the end of the heap beyond which it shrinks after all."""
OPT_OUT = "POINTLAB_RETURN_MEMORY"
"""Set to 1, it leaves the C library as it is: slower, with less memory."""


@cache
def keep_freed_memory() -> bool:
    """Tell the C library to keep freed memory, once in a process; False where there is no such setting."""
    if not sys.platform.startswith("linux") or os.environ.get(OPT_OUT) == "1":
        return False
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)  # musl has none
    if mallopt is None:
        return False
    return bool(mallopt(M_MMAP_MAX, 0)) and bool(mallopt(M_TRIM_THRESHOLD, KEPT))
