"""A hand-downloaded archive becomes a folder: whole, inside its target, or not at all.

Zip and tar archives (also gzip, bzip2 and xz) are listed and judged before anything is written
(`archive_members`); what passes is unpacked into a hidden folder beside the target, which then takes the
target's name. Modes, owners and times of the archive are not taken over.
"""

import hashlib
import os
import shutil
import struct
import zlib
from dataclasses import dataclass
from gzip import BadGzipFile
from lzma import LZMAError
from pathlib import Path
from tarfile import TarError
from zipfile import BadZipFile

from pointlab.data.archive_formats import Archive, open_archive
from pointlab.data.archive_members import Limits, Member, judged
from pointlab.data.progress import Progress, unwatched
from pointlab.errors import DataError

CHUNK = 1 << 20
DAMAGE = (
    *(BadZipFile, TarError, BadGzipFile, EOFError, zlib.error, LZMAError, struct.error, ValueError),
    RuntimeError,  # for what zipfile does not read, and for headers without end
)
"""What Python's readers raise for archives that are not whole."""


@dataclass(frozen=True)
class Unpacked:
    """What came of an archive: the folder, how much is in it, and the sha256 of the archive itself."""

    folder: Path
    num_files: int
    num_bytes: int
    sha256: str


def unpack(
    archive: Path,
    target: Path,
    checksums: frozenset[str] = frozenset(),
    limits: Limits | None = None,
    progress: Progress = unwatched,
) -> Unpacked:
    """Unpack `archive` into the new folder `target`; nothing is left behind where that fails.

    `checksums` are the sha256 that the archive may have; with none given, any. Without `limits` they follow
    from the sizes of the archive and of the disk. Raises DataError for an archive that is damaged, hostile,
    encrypted, too large or of another kind, and for a target that exists.
    """
    _require_free(target)
    digest = _checked_digest(archive, checksums)
    limits = limits or Limits.of(archive, target.parent)
    unfinished = target.with_name(f".{target.name}.unpacking-{os.getpid()}")
    try:
        with open_archive(archive, limits.num_bytes) as opened:
            members = judged(opened.members(), limits)
            _require_whole(archive, opened)
            unfinished.mkdir()
            _write_all(opened, members, unfinished, progress)
        unfinished.rename(target)
    except DAMAGE as error:
        raise _damaged(archive, error) from None
    except OSError as error:
        if error.errno is None:  # not the system's: what bz2 says of a stream that is none
            raise _damaged(archive, error) from None
        raise DataError(
            f"{archive} cannot be unpacked into {target}: {error}.",
            expected="a whole archive, and a disk with room for it",
            remedy="download it again, free some space, or choose another --to",
        ) from None
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
    files = [member for member in members if not member.is_folder]
    return Unpacked(target, len(files), sum(member.size for member in files), digest)


def _require_free(target: Path) -> None:
    if target.exists() or target.is_symlink():
        raise DataError(
            f"{target} exists already, and is left as it is.",
            expected="a folder that is not there yet",
            remedy="choose another with --to, or remove that one first",
        )
    if not target.parent.is_dir():
        raise DataError(
            f"There is no folder {target.parent}.", remedy="make it first, or choose another --to"
        )


def _checked_digest(archive: Path, checksums: frozenset[str]) -> str:
    """sha256 of the archive, which is one of `checksums` where there are any."""
    if archive.is_dir():
        raise DataError(
            f"{archive} is a folder.",
            "an archive",
            "what is unpacked already needs `pointlab data detect` only",
        )
    try:
        with archive.open("rb") as stream:
            digest = hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError as error:
        raise DataError(f"{archive} cannot be read: {error.strerror}.", remedy="check the path") from None
    if checksums and digest not in {each.lower() for each in checksums}:
        raise DataError(
            f"{archive} has sha256 {digest}.",
            expected=" or ".join(sorted(checksums)),
            remedy="download it again: it is another release, or did not arrive whole",
        )
    return digest


def _require_whole(archive: Path, opened: Archive) -> None:
    """Raise where the archive breaks off, or goes on with something else, after its last member."""
    problem = opened.problem_at_end()
    if problem:
        raise _damaged(archive, problem)


def _write_all(opened: Archive, members: list[Member], folder: Path, progress: Progress) -> None:
    done, total = 0, sum(member.size for member in members)
    for member in members:
        path = folder / member.path
        if member.is_folder:
            path.mkdir(parents=True, exist_ok=True)
            continue
        path.parent.mkdir(parents=True, exist_ok=True)
        written = 0
        with opened.open(member) as source, path.open("xb") as sink:
            while written <= member.size and (chunk := source.read(CHUNK)):  # never far past what is promised
                written += sink.write(chunk)
                progress(done + written, total)
        if written != member.size:
            raise EOFError(f"{member.name!r} has {written} bytes, not the {member.size} that are promised")
        done += written


def _damaged(archive: Path, why: object) -> DataError:
    return DataError(
        f"{archive} is damaged: {str(why).rstrip('.')}.",
        expected="a whole archive",
        remedy="download it again; a partial download is the usual cause",
    )
