"""The members of an archive, judged by their headers before a byte is written.

An archive is somebody else's program for writing files. What is refused here could write outside the
folder, replace a file by another, mean two things on two machines, or fill the disk.
"""

import shutil
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath, PureWindowsPath

from pointlab.errors import DataError

MAX_DEPTH = 32
MAX_NAME_BYTES = 255
"""What file systems allow for one part of a path."""
MAX_RATIO = 200
"""Text of coordinates shrinks to a third, label maps and voxels to a fiftieth; bombs to a thousandth."""
FREE_OF_RATIO = 256 << 20
"""Bytes that may come of an archive of any size: a small one that is mostly zeros is no bomb."""
MAX_MEMBERS = 5_000_000
"""Twice the frames of ScanNet; each file costs a disk more than its bytes."""


@dataclass(frozen=True)
class Member:
    """One entry of an archive; `oddity` says why it cannot be unpacked: a link, a device, encrypted."""

    name: str
    size: int
    is_folder: bool
    oddity: str = ""

    @property
    def path(self) -> PurePosixPath:
        """Where it belongs, relative to the target: `./a//b` is a/b."""
        return PurePosixPath(self.name)


@dataclass(frozen=True)
class Limits:
    """How much an archive may become: bytes, and entries."""

    num_bytes: int
    num_members: int = MAX_MEMBERS

    @classmethod
    def of(cls, archive: Path, folder: Path) -> "Limits":
        """What the archive's own size and the free space of the disk under `folder` allow."""
        by_ratio = max(FREE_OF_RATIO, MAX_RATIO * archive.stat().st_size)
        return cls(min(by_ratio, shutil.disk_usage(folder).free))


def judged(members: Iterable[Member], limits: Limits) -> list[Member]:
    """The members to unpack, in their order; DataError for the first one that must not be.

    Members are read one by one, so that a bomb is refused before its headers have been read to the end.
    """
    accepted: list[Member] = []
    taken: dict[str, tuple[str, bool]] = {}
    num_bytes = 0
    for member in members:
        _require_harmless(member)
        _require_alone(member, taken)
        num_bytes += member.size
        if num_bytes > limits.num_bytes or len(accepted) >= limits.num_members:
            raise _refused(
                member.name,
                f"makes it larger than {limits.num_bytes:,} bytes or {limits.num_members:,} files",
                "what fits onto the disk, at a ratio that point clouds reach",
            )
        if member.path.parts:  # the archive's own top is the target itself
            accepted.append(member)
    return accepted


def _require_harmless(member: Member) -> None:
    """Refuse what is no file or folder, or whose name leads out of the target or is no plain path."""
    name, parts = member.name, member.path.parts
    windows = PureWindowsPath(name)
    if member.oddity:
        raise _refused(name, f"is {member.oddity}", "files and folders only")
    if any(unicodedata.category(letter) in ("Cc", "Cs") for letter in name):
        raise _refused(name, "has a control character, or bytes that are no text, in its name")
    if name.startswith("/") or windows.drive or windows.root:
        raise _refused(name, "has an absolute path")
    if ".." in windows.parts:
        raise _refused(name, "leads out of the folder with '..'")
    if "\\" in name:
        raise _refused(name, "has a backslash in its name, a folder on some systems and a letter on others")
    if len(parts) > MAX_DEPTH:
        raise _refused(name, f"lies {len(parts)} folders deep", f"at most {MAX_DEPTH}")
    if any(len(part.encode()) > MAX_NAME_BYTES for part in parts):
        raise _refused(name, "has a longer name than file systems allow", f"{MAX_NAME_BYTES} bytes a part")
    if not parts and not member.is_folder:
        raise _refused(name, "is a file without a name")


def _require_alone(member: Member, taken: dict[str, tuple[str, bool]]) -> None:
    """Refuse a path that another member has, or has but for case; note this one and its folders as taken."""
    parts = member.path.parts
    for depth in range(1, len(parts) + 1):
        path, is_folder = "/".join(parts[:depth]), member.is_folder or depth < len(parts)
        known = taken.get(_folded(path))
        if known is None:
            taken[_folded(path)] = (path, is_folder)
        elif known[0] != path:
            raise _refused(
                member.name, f"differs from {known[0]!r} in case or accents alone", "names of their own"
            )
        elif known != (path, True) or not is_folder:
            raise _refused(member.name, "is in it twice", "every path once")


def _folded(path: str) -> str:
    """The path as file systems that do not tell case or composition apart see it."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", path).casefold())


def _refused(
    name: str, problem: str, expected: str = "paths below the folder that it is unpacked into"
) -> DataError:
    return DataError(
        f"The archive is not unpacked: its member {name[:120]!r} {problem}.",
        expected=expected,
        remedy="get it from its official source; if you trust it, unpack it yourself and give the folder"
        " to `pointlab data detect`",
    )
