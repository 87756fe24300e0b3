"""Arrays of a pickle, by where their bytes lie: found while it is looked through, read on demand."""

import math
from dataclasses import dataclass
from typing import BinaryIO

import numpy as np

from pointlab.errors import DataError

BYTE = np.dtype("i1")


@dataclass(frozen=True)
class Extent:
    """Bytes `offset` to `offset + length` of a file; `is_text` if they are UTF-8 for characters 0 to 255.

    Protocol 2 has no bytes, so Python 3 writes them there as text, one character a byte.
    """

    offset: int
    length: int
    is_text: bool


@dataclass
class StoredArray:
    """What a pickle says of an array, and its `data`: the bytes themselves where they are few.

    A pickle first makes an empty array, refers to it, and fills it in later: hence not frozen.
    """

    dtype: np.dtype = BYTE
    shape: tuple[int, ...] = (0,)
    is_fortran: bool = False
    data: bytes | Extent = b""

    def __post_init__(self) -> None:
        self.check_size()

    @property
    def num_bytes(self) -> int:
        """Bytes that an array of this shape and type takes."""
        return math.prod(self.shape) * self.dtype.itemsize

    def check_size(self) -> None:
        """ValueError unless `data` can hold exactly this shape, so that no hostile size is ever set aside."""
        length = len(self.data) if isinstance(self.data, bytes) else self.data.length
        widest = 2 if isinstance(self.data, Extent) and self.data.is_text else 1  # bytes a character
        if not self.num_bytes <= length <= widest * self.num_bytes:
            raise ValueError(f"an array of {self.num_bytes} bytes in {length} bytes")


def load_array(stream: BinaryIO, array: StoredArray) -> np.ndarray:
    """The array, from the open file of its pickle; DataError where the file has changed since."""
    data = array.data if isinstance(array.data, bytes) else _read(stream, array.data)
    if len(data) != array.num_bytes:
        raise DataError(
            f"{stream.name} holds {len(data)} bytes of an array of {array.num_bytes}.",
            expected="the file as it was indexed",
            remedy="download the file again; if it has changed, index the dataset again",
        )
    values: np.ndarray = np.frombuffer(data, array.dtype)
    return values.reshape(array.shape, order="F" if array.is_fortran else "C")


def _read(stream: BinaryIO, extent: Extent) -> bytes:
    stream.seek(extent.offset)
    data = stream.read(extent.length)
    try:
        return data.decode("utf-8").encode("latin-1") if extent.is_text else data
    except UnicodeError:
        return b""  # not what a pickle of bytes holds: reported by its length
