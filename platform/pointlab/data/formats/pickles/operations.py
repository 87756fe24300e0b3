"""The operations of a pickle, listed without carrying any out, and without reading what is long.

Python's own description of the format, `pickletools`, says what follows each operation. Long strings and
bytes are passed over and handed out as an `Extent`: that is where the arrays of a dataset are.
"""

import os
import pickletools
import struct
from collections.abc import Iterator
from typing import Any, BinaryIO

from pointlab.data.formats.pickles.arrays import Extent

OPERATIONS = {operation.code.encode("latin-1"): operation for operation in pickletools.opcodes}
SHORT = 1024
"""Bytes of an argument that is kept: longer than any name, far shorter than any cloud."""
LENGTHS = {
    "string4": "<i",
    "bytes4": "<I",
    "bytes8": "<Q",
    "bytearray8": "<Q",
    "unicodestring4": "<I",
    "unicodestring8": "<Q",
}
"""Arguments that may be long, by their names in `pickletools`, and how their length is written."""


class BoundedStream:
    """What `pickletools` reads arguments from: refuses long ones, before memory is set aside for them."""

    def __init__(self, stream: BinaryIO) -> None:
        self.stream = stream

    def read(self, size: int) -> bytes:
        """The next `size` bytes, fewer at the end of the file."""
        if size > SHORT:
            raise ValueError(f"an argument of {size} bytes")
        return self.stream.read(size)

    def readline(self) -> bytes:
        """The next line, with its end."""
        line = self.stream.readline(SHORT)
        if len(line) == SHORT:
            raise ValueError(f"a line of more than {SHORT} bytes")
        return line


def list_operations(stream: BinaryIO) -> Iterator[tuple[str, Any]]:
    """Name and argument of every operation up to STOP; ValueError where the file is no whole pickle."""
    size = os.fstat(stream.fileno()).st_size
    bounded = BoundedStream(stream)
    name = ""
    while name != "STOP":
        code = stream.read(1)
        operation = OPERATIONS.get(code)
        if operation is None:
            raise ValueError(f"no operation {code!r}" if code else "the file ends before the pickle does")
        name = operation.name
        yield name, _read_argument(operation.arg, stream, bounded, size)


def _read_argument(kind: Any, stream: BinaryIO, bounded: BoundedStream, size: int) -> Any:
    if kind is None:
        return None
    if kind.name in LENGTHS:
        return _pass_over(kind.name, stream, size)
    return kind.reader(bounded)


def _pass_over(kind: str, stream: BinaryIO, size: int) -> str | bytes | Extent:
    """A short argument as it is (strings of Python 2, which may be bytes, as Latin-1), a long one's place."""
    prefix = stream.read(struct.calcsize(LENGTHS[kind]))
    (length,) = struct.unpack(LENGTHS[kind], prefix)
    offset = stream.tell()
    if not 0 <= length <= size - offset:
        raise ValueError(f"an argument of {length} bytes, where {size - offset} remain")
    if length > SHORT:
        stream.seek(offset + length)
        return Extent(offset, length, is_text=kind.startswith("unicode"))
    content = stream.read(length)
    if kind.startswith("unicode"):
        return content.decode("utf-8")
    return content.decode("latin-1") if kind == "string4" else content
