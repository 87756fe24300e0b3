"""Arrays in an npz file, read row by row: numpy itself reads each array as a whole.

The member of the zip archive is read as a stream. What lies between the rows wanted is passed over, or
decompressed and dropped, so the cost of a shard is at most one pass over the member, and memory is that of
the rows and of a piece.
"""

import math
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import numpy as np

from pointlab.data.formats.files import require_file
from pointlab.errors import DataError

PIECE = 2**20
"""Bytes decompressed at a time where they are not wanted; larger ones are no faster."""
DAMAGE = (zipfile.BadZipFile, zlib.error, OSError, EOFError, ValueError, RuntimeError)
"""What zipfile and numpy raise, by where the damage lies."""


@dataclass(frozen=True)
class ZippedArray:
    """An array of numbers or strings in an open archive, of which nothing but the header has been read."""

    archive: zipfile.ZipFile
    member: str
    shape: tuple[int, ...]
    dtype: np.dtype

    def rows(self, numbers: Sequence[int]) -> Iterator[np.ndarray]:
        """These rows, one after the other; `numbers` rise."""
        size = math.prod(self.shape[1:]) * self.dtype.itemsize
        with self.archive.open(self.member) as stream:
            _read_header(stream)
            first = stream.tell()
            for number in numbers:
                _pass_over(stream, first + number * size)
                yield self._decode(stream.read(size), self.shape[1:])

    def whole(self) -> np.ndarray:
        """The whole array."""
        with self.archive.open(self.member) as stream:
            _read_header(stream)
            return self._decode(stream.read(), self.shape)

    def __str__(self) -> str:
        return f"{self.member.removesuffix('.npy')!r} of shape {self.shape} and type {self.dtype}"

    def _decode(self, content: bytes, shape: tuple[int, ...]) -> np.ndarray:
        return np.frombuffer(content, self.dtype).reshape(shape)


class ZippedArrays:
    """The arrays of an open npz file by their names."""

    def __init__(self, archive: zipfile.ZipFile, path: Path) -> None:
        self.archive, self.path = archive, path
        members = [name for name in archive.namelist() if name.endswith(".npy")]
        self.names = [name.removesuffix(".npy") for name in members]

    def __contains__(self, name: str) -> bool:
        return name in self.names

    def __getitem__(self, name: str) -> ZippedArray:
        """The array called `name`; DataError where there is none, or it is not of numbers or strings."""
        if name not in self:
            raise self.misfit(f"holds the arrays {sorted(self.names)}", f"one called {name!r}")
        member = self.archive.getinfo(f"{name}.npy")
        with self.archive.open(member) as stream:
            shape, is_fortran, dtype = _read_header(stream)
            length = member.file_size - stream.tell()
        if dtype.kind not in "biufU":
            raise self.misfit(f"holds {name!r} of type {dtype}", "numbers or strings; objects may run code")
        if is_fortran and len(shape) > 1:
            raise self.misfit(f"holds {name!r} column by column", "rows one after the other (order C)")
        if math.prod(shape) * dtype.itemsize != length or min(shape, default=0) < 0:
            raise self.misfit(f"holds {length} bytes of {name!r}, of shape {shape}", "a whole array")
        return ZippedArray(self.archive, member.filename, shape, dtype)

    def misfit(self, found: str, expected: str) -> DataError:
        """The error of a file that is whole but is not what the settings say."""
        return DataError(
            f"{self.path} {found}.",
            expected=expected,
            remedy="check the settings of the source, or save the file anew with numpy.savez",
        )


@contextmanager
def open_npz(path: Path) -> Iterator[ZippedArrays]:
    """The arrays of an npz file; DataError where it or anything read from it is damaged."""
    try:
        with zipfile.ZipFile(require_file(path)) as archive:
            yield ZippedArrays(archive, path)
    except DAMAGE as error:
        raise DataError(
            f"{path} cannot be read: {error or type(error).__name__}.",
            expected="a whole npz file",
            remedy="save or download it again; a partial download is the usual cause",
        ) from None


def require_whole_arrays(archive: zipfile.ZipFile) -> None:
    """ValueError unless every array is as long as its header says: numpy makes room for it before it reads.

    Arrays of objects are left to numpy, which refuses them.
    """
    for member in archive.infolist():
        if not member.filename.endswith(".npy"):
            continue
        with archive.open(member) as stream:
            shape, _, dtype = _read_header(stream)
            length = member.file_size - stream.tell()
        if not dtype.hasobject and math.prod(shape) * dtype.itemsize != length:
            raise ValueError(f"{member.filename} has {length} bytes of an array of shape {shape}")


def _pass_over(stream: IO[bytes] | zipfile.ZipExtFile, position: int) -> None:
    """Move on to `position`, piece by piece: zipfile itself decompresses 16 MB at a time."""
    for reached in range(stream.tell(), position, PIECE):
        stream.seek(min(reached + PIECE, position))


def _read_header(stream: IO[bytes] | zipfile.ZipExtFile) -> tuple[tuple[int, ...], bool, np.dtype]:
    """Shape, whether it is stored column by column, and type; leaves `stream` at the first value."""
    version = np.lib.format.read_magic(stream)
    if version == (1, 0):
        return np.lib.format.read_array_header_1_0(stream)
    if version == (2, 0):
        return np.lib.format.read_array_header_2_0(stream)
    raise ValueError(f"an array of version {version}, for named fields")
