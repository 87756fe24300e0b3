"""What all tests need that start nodes of Ray by its command line, on this machine or in namespaces of it."""

import contextlib
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

RAY = [sys.executable, "-c", "from ray.scripts.scripts import main; main()"]


@contextlib.contextmanager
def short_folder() -> Iterator[Path]:
    """A folder that is gone after the block; sockets of Ray lie in it, whose paths must be short."""
    folder = Path(tempfile.mkdtemp(prefix="pl-", dir="/tmp"))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def wait_until(is_true: Callable[[], bool], seconds: float, story: Callable[[], str]) -> None:
    """Wait for a condition; an assertion fails with the story where it does not come."""
    end = time.monotonic() + seconds
    while not is_true():
        assert time.monotonic() < end, f"what the test waits for did not happen: {story()}"
        time.sleep(0.05)
