"""What released files hold beside tensors, as harmless stand-ins: numpy's scalars and arrays in old metrics.

A `.pth` is a pickle. `torch.load(weights_only=True)` rebuilds tensors and plain containers of it, and refuses
every other name. Released checkpoints keep best metrics as numpy values; rather than let a file call numpy,
these names are answered by the small classes below, which cannot do anything but be read over.
"""

from typing import Any

import numpy as np

NUMBERS = {
    f"{kind}{size}" for kind, sizes in {"f": "248", "i": "1248", "u": "1248"}.items() for size in sizes
}
NUMBERS.add("b1")


class NumberType:
    """Stands for `numpy.dtype`: the code of a kind of number, and the order of its bytes."""

    def __init__(self, code: str, *_: Any) -> None:
        self.code, self.is_big_endian = str(code), False

    def __setstate__(self, state: Any) -> None:
        self.is_big_endian = state[1] == ">"


class LeftOutArray:
    """Stands for `numpy.ndarray`: nothing of an array is kept."""

    def __setstate__(self, state: Any) -> None:
        """Let the content go."""


def left_out_array(*_: Any) -> LeftOutArray:
    """Stands for numpy's function that begins an array."""
    return LeftOutArray()


def number(kind: NumberType, content: bytes) -> float | None:
    """Stands for numpy's function that makes a scalar: the number, or None where it is not one."""
    if not isinstance(kind, NumberType) or kind.code not in NUMBERS or not isinstance(content, bytes):
        return None
    stored = np.dtype(kind.code).newbyteorder(">" if kind.is_big_endian else "<")
    return float(np.frombuffer(content, stored)[0]) if len(content) == stored.itemsize else None


HARMLESS: list[Any] = [
    (NumberType, "numpy.dtype"),
    (LeftOutArray, "numpy.ndarray"),
    *(
        (stand_in, f"numpy.{core}.multiarray.{name}")
        for core in ("core", "_core")  # the package's name before and since numpy 2
        for stand_in, name in ((number, "scalar"), (left_out_array, "_reconstruct"))
    ),
]
"""For `torch.serialization.safe_globals`: what is called, and the name in the file that calls it."""
