"""Zip and tar archives behind one surface: members to judge, content to read, and whether the end is there.

Python's readers stop quietly where a tar breaks off between two members, read headers of any size into
memory, and cut a zip's names at a NUL; here each of these is an error.
"""

import bz2
import gzip
import lzma
import stat
import tarfile
import zipfile
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from io import BufferedIOBase
from pathlib import Path
from typing import IO, cast

from pointlab.data.archive_members import Member
from pointlab.errors import DataError

MAX_READ = 16 << 20
"""Most that is read at once: more is a header that claims to be larger than any honest one."""
DECOMPRESSORS: dict[bytes, Callable[[Path], BufferedIOBase]] = {
    b"\x1f\x8b": gzip.GzipFile,
    b"BZh": bz2.BZ2File,
    b"\xfd7zXZ\x00": lzma.LZMAFile,
}
FOREIGN = {b"7z\xbc\xaf\x27\x1c": "7-Zip", b"Rar!\x1a\x07": "RAR"}
METHODS = {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA}
PATCH, STRONG_ENCRYPTION = 1 << 5, 1 << 6
"""Flags of zip members that Python does not read."""
BLOCK = tarfile.BLOCKSIZE


class Archive(ABC):
    """An open archive, whose members are all listed before one is opened."""

    @abstractmethod
    def members(self) -> Iterator[Member]:
        """Every entry, in stored order, read as it is asked for."""

    @abstractmethod
    def open(self, member: Member) -> BufferedIOBase:
        """The content of one file."""

    @abstractmethod
    def problem_at_end(self) -> str:
        """What is wrong after the last member, in words, or nothing."""


@contextmanager
def open_archive(path: Path, num_bytes: int) -> Iterator[Archive]:
    """The archive, by its first bytes, whatever its name is; DataError where it is of no kind read here.

    At most `num_bytes` are looked at past its last member.
    """
    with path.open("rb") as stream:
        start = stream.read(BLOCK)
    if zipfile.is_zipfile(path) and start[:2] == b"PK":
        with _open_zip(path) as opened:
            yield ZipArchive(opened)
        return
    _require_tar(path, start)
    decompress = next((found for magic, found in DECOMPRESSORS.items() if start.startswith(magic)), None)
    with decompress(path) if decompress else path.open("rb") as stream:
        bounded = BoundedReader(stream)
        with tarfile.open(fileobj=cast(IO[bytes], bounded), mode="r:") as tar:
            yield TarArchive(tar, bounded, num_bytes)


class ZipArchive(Archive):
    """A zip, whose directory lists every member; its checksums are compared while a member is read."""

    def __init__(self, opened: zipfile.ZipFile) -> None:
        self._zip = opened
        self._entries: dict[str, zipfile.ZipInfo] = {}

    def members(self) -> Iterator[Member]:
        """Every entry of the directory."""
        for entry in self._zip.infolist():
            name = entry.orig_filename
            self._entries[name] = entry
            yield Member(name, entry.file_size, entry.is_dir(), _zip_oddity(entry))

    def open(self, member: Member) -> BufferedIOBase:
        """The content of one file."""
        return cast(BufferedIOBase, self._zip.open(self._entries[member.name]))

    def problem_at_end(self) -> str:
        """Nothing: a zip without its end cannot be opened."""
        return ""


def _open_zip(path: Path) -> zipfile.ZipFile:
    try:
        return zipfile.ZipFile(path)
    except RuntimeError as error:  # which says the version
        raise DataError(
            f"{path} is a zip of a kind that is not read here: {error}.",
            expected=f"a zip of version {zipfile.MAX_EXTRACT_VERSION / 10} or older",
            remedy="download it again; if it stays so, unpack it with the program that it was made with, then"
            " give the folder to `pointlab data detect`",
        ) from None


def _zip_oddity(entry: zipfile.ZipInfo) -> str:
    if entry.flag_bits & 1:
        return "encrypted"
    if entry.flag_bits & (PATCH | STRONG_ENCRYPTION):
        return "a patch or strongly encrypted"
    mode = stat.S_IFMT(entry.external_attr >> 16)
    if mode == stat.S_IFLNK:
        return "a link"
    if mode not in (0, stat.S_IFREG, stat.S_IFDIR):
        return "a device or the like"
    return (
        ""
        if entry.compress_type in METHODS
        else f"packed with a method ({entry.compress_type}) not read here"
    )


class TarArchive(Archive):
    """A tar, whose members follow one another; the list ends with two blocks of zeros."""

    def __init__(self, tar: tarfile.TarFile, stream: "BoundedReader", num_bytes: int) -> None:
        self._tar, self._stream, self._num_bytes = tar, stream, num_bytes
        self._entries: dict[str, tarfile.TarInfo] = {}

    def members(self) -> Iterator[Member]:
        """Every entry, read one header at a time."""
        for entry in self._tar:
            self._entries[entry.name] = entry
            yield Member(entry.name, entry.size, entry.isdir(), _tar_oddity(entry))

    def open(self, member: Member) -> BufferedIOBase:
        """The content of one file."""
        content = self._tar.extractfile(self._entries[member.name])
        assert content is not None, "links and devices were refused"
        return cast(BufferedIOBase, content)

    def problem_at_end(self) -> str:
        """Reads to the very end, where compressed streams have their checksum."""
        self._stream.seek(self._tar.offset)
        if self._stream.read(BLOCK) != bytes(BLOCK):
            return "its list of members breaks off before its end"
        left = self._num_bytes
        while left > 0 and (chunk := self._stream.read(1 << 20)):
            left -= len(chunk)
        return "" if left > 0 else "something large follows its last member"


def _tar_oddity(entry: tarfile.TarInfo) -> str:
    if entry.issym() or entry.islnk():
        return "a link"
    if entry.issparse():
        return "a sparse file"
    return "" if entry.isreg() or entry.isdir() else "a device or the like"


class BoundedReader:
    """A stream that refuses to read very much at once, which only a false header asks of it."""

    def __init__(self, stream: BufferedIOBase) -> None:
        self._stream = stream

    def read(self, size: int = -1) -> bytes:
        """At most `size` bytes; EOFError where more than `MAX_READ` are asked for."""
        if not 0 <= size <= MAX_READ:
            raise EOFError(f"a header of it claims {size:,} bytes")
        return self._stream.read(size)

    def seek(self, position: int, whence: int = 0) -> int:
        """Go to `position`; a compressed stream is read up to it."""
        return self._stream.seek(position, whence)

    def tell(self) -> int:
        """Where the stream is."""
        return self._stream.tell()


def _require_tar(path: Path, start: bytes) -> None:
    """Refuse, in words that fit, what is neither a tar nor compressed."""
    for magic, name in FOREIGN.items():
        if start.startswith(magic):
            raise DataError(
                f"{path} is a {name} archive, which is not read here.",
                expected="zip, tar, tar.gz, tar.bz2 or tar.xz",
                remedy=f"unpack it with {name}, then give the folder to `pointlab data detect`",
            )
    if start.startswith(tuple(DECOMPRESSORS)) or start[257:262] == b"ustar":
        return
    is_page = start.lstrip().lower().startswith((b"<!doctype html", b"<html"))
    raise DataError(
        f"{path} is {'a web page' if is_page else 'no archive'}.",
        expected="zip, tar, tar.gz, tar.bz2 or tar.xz",
        remedy="download it again in a browser: some hosts answer with a page of terms or of limits"
        if is_page
        else "check that it is the file that you meant, and that it arrived whole",
    )
