"""An archive becomes a whole folder, or a clear error and nothing: whatever is in it stays in its place."""

import gzip
import hashlib
import io
import os
import stat
import struct
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from pointlab.data.archive_members import MAX_DEPTH, Limits
from pointlab.data.archives import unpack
from pointlab.errors import DataError

FILES = {"set/train/chair.xyz": b"0 0 0\n" * 400, "set/names.txt": b"chair\ntable\n", "set/empty.txt": b""}
SMALL = Limits(num_bytes=100_000, num_members=50)


def write_zip(path: Path, files: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return path


def write_tar(path: Path, files: dict[str, bytes], mode: str = "w") -> Path:
    with tarfile.open(path, mode) as archive:  # type: ignore[call-overload]
        for name, content in files.items():
            archive.addfile(*tar_entry(name, content))
    return path


def tar_entry(name: str, content: bytes = b"", **fields: object) -> tuple[tarfile.TarInfo, io.BytesIO]:
    entry = tarfile.TarInfo(name)
    entry.size = len(content)
    for field, value in fields.items():
        setattr(entry, field, value)
    return entry, io.BytesIO(content)


def content_of(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()
    }


@pytest.mark.parametrize("name", ["a.zip", "a.tar", "a.tar.gz", "a.tar.bz2", "a.tar.xz"])
def test_a_good_archive_comes_out_as_it_went_in(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    if name.endswith("zip"):
        write_zip(path, FILES)
    else:
        write_tar(path, FILES, f"w:{path.suffix[1:]}" if path.suffix != ".tar" else "w")
    told: list[tuple[int, int]] = []
    made = unpack(path, tmp_path / "out", progress=lambda done, total: told.append((done, total)))
    assert content_of(made.folder) == FILES
    assert (made.num_files, made.num_bytes) == (3, sum(map(len, FILES.values())))
    assert made.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert told[-1] == (made.num_bytes, made.num_bytes)
    assert {entry.name for entry in tmp_path.iterdir()} == {name, "out"}


def test_a_suffix_does_not_matter_and_a_leading_dot_is_the_top(tmp_path: Path) -> None:
    path = write_tar(tmp_path / "download", {f"./{name}": content for name, content in FILES.items()}, "w:gz")
    assert content_of(unpack(path, tmp_path / "out").folder) == FILES


def test_folders_may_be_listed_again_and_nothing_becomes_executable(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "a.tar", "w") as archive:
        for name in ("set", "set/"):
            archive.addfile(*tar_entry(name, type=tarfile.DIRTYPE))
        archive.addfile(*tar_entry("set/run.sh", b"exit 1", mode=0o4777))
    made = unpack(tmp_path / "a.tar", tmp_path / "out")
    assert stat.S_IMODE((made.folder / "set/run.sh").stat().st_mode) & 0o7111 == 0


def test_a_checksum_that_fits_is_accepted_in_either_case(tmp_path: Path) -> None:
    path = write_zip(tmp_path / "a.zip", FILES)
    digest = hashlib.sha256(path.read_bytes()).hexdigest().upper()
    assert unpack(path, tmp_path / "out", frozenset({"0" * 64, digest})).sha256 == digest.lower()


def with_zip(files: dict[str, bytes]) -> Callable[[Path], Path]:
    return lambda folder: write_zip(folder / "a.zip", files)


def with_tar_entry(name: str, content: bytes = b"", **fields: object) -> Callable[[Path], Path]:
    """A tar of one good file and one entry of this kind."""

    def make(folder: Path) -> Path:
        with tarfile.open(folder / "a.tar", "w", format=tarfile.PAX_FORMAT) as archive:
            archive.addfile(*tar_entry("good.txt", b"good"))
            archive.addfile(*tar_entry(name, content, **fields))
        return folder / "a.tar"

    return make


def with_raw(content: bytes) -> Callable[[Path], Path]:
    def make(folder: Path) -> Path:
        (folder / "a.bin").write_bytes(content)
        return folder / "a.bin"

    return make


def with_cut(mode: str, size: int) -> Callable[[Path], Path]:
    """A tar that breaks off: at `size` bytes, or so many before its end."""

    def make(folder: Path) -> Path:
        path = write_tar(folder / "a.tar", {"a.xyz": os.urandom(3000), "b.xyz": os.urandom(3000)}, mode)
        path.write_bytes(path.read_bytes()[:size])
        return path

    return make


def with_cut_zip(folder: Path) -> Path:
    path = write_zip(folder / "a.zip", FILES)
    path.write_bytes(path.read_bytes()[:-30])
    return path


def with_zip_mode(mode: int) -> Callable[[Path], Path]:
    """A zip with an entry of this file type, as Unix tools store links and devices."""

    def make(folder: Path) -> Path:
        entry = zipfile.ZipInfo("odd")
        entry.external_attr = (mode | 0o777) << 16
        with zipfile.ZipFile(folder / "a.zip", "w") as archive:
            archive.writestr("good.txt", b"good")
            archive.writestr(entry, "/etc/passwd")
        return folder / "a.zip"

    return make


def with_patched_zip(change: Callable[[bytearray], None]) -> Callable[[Path], Path]:
    """A zip of one stored file `data.txt`, with bytes changed as no library would write them."""

    def make(folder: Path) -> Path:
        with zipfile.ZipFile(folder / "a.zip", "w") as archive:
            archive.writestr("data.txt", b"0123456789")
        content = bytearray((folder / "a.zip").read_bytes())
        change(content)
        (folder / "a.zip").write_bytes(content)
        return folder / "a.zip"

    return make


def encrypt(content: bytearray) -> None:
    for signature, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        content[content.index(signature) + offset] |= 1


def rename_in_directory(content: bytearray) -> None:
    place = content.index(b"data.txt", content.index(b"PK\x01\x02"))
    content[place : place + 8] = b"da\x00a.txt"


def damage_content(content: bytearray) -> None:
    content[content.index(b"0123456789")] ^= 1


def method_of_the_future(content: bytearray) -> None:
    struct.pack_into("<H", content, content.index(b"PK\x01\x02") + 10, 93)


def set_in_directory(offset: int, value: int) -> Callable[[bytearray], None]:
    """Sets bits of a byte of the entry in the directory."""

    def change(content: bytearray) -> None:
        content[content.index(b"PK\x01\x02") + offset] |= value

    return change


def with_damaged_bzip2(folder: Path) -> Path:
    with zipfile.ZipFile(folder / "a.zip", "w", zipfile.ZIP_BZIP2) as archive:
        archive.writestr("data.txt", os.urandom(3000))
    content = bytearray((folder / "a.zip").read_bytes())
    start = content.index(b"BZh")
    content[start + 4 : start + 10] = bytes(6)
    (folder / "a.zip").write_bytes(content)
    return folder / "a.zip"


def with_names_without_end(folder: Path) -> Path:
    """A tar of headers that each say the long name of the next one."""
    entry = tarfile.TarInfo("././@LongLink")
    entry.type, entry.size = tarfile.GNUTYPE_LONGNAME, 2
    header = entry.tobuf(tarfile.GNU_FORMAT) + b"a\0".ljust(512, b"\0")
    (folder / "a.tar").write_bytes(header * 3000 + bytes(1024))
    return folder / "a.tar"


def with_two_of_a_name(folder: Path) -> Path:
    with zipfile.ZipFile(folder / "a.zip", "w") as archive:
        archive.writestr("a.txt", b"one")
        with pytest.warns(UserWarning, match="Duplicate"):
            archive.writestr("a.txt", b"two")
    return folder / "a.zip"


def with_huge_header(folder: Path) -> Path:
    """A tar whose first header claims an extended header of a gigabyte, to be read into memory."""
    entry = tarfile.TarInfo("././@PaxHeader")
    entry.type, entry.size = tarfile.XHDTYPE, 1 << 30
    (folder / "a.tar.gz").write_bytes(gzip.compress(entry.tobuf() + bytes(1 << 16)))
    return folder / "a.tar.gz"


def with_much_behind_the_end(folder: Path) -> Path:
    content = write_tar(folder / "plain.tar", FILES).read_bytes()
    (folder / "plain.tar").unlink()
    (folder / "a.tar.gz").write_bytes(gzip.compress(content + bytes(SMALL.num_bytes + 1)))
    return folder / "a.tar.gz"


def with_damaged_header(folder: Path) -> Path:
    path = write_tar(folder / "a.tar", {"a.xyz": b"1", "b.xyz": b"2"})
    content = bytearray(path.read_bytes())
    content[content.index(b"b.xyz")] ^= 1  # its header no longer has its checksum
    path.write_bytes(content)
    return path


HOSTILE: dict[str, tuple[Callable[[Path], Path], str]] = {
    "absolute path in zip": (with_zip({"/etc/cron.d/x": b""}), "'/etc/cron.d/x' has an absolute path"),
    "absolute path in tar": (with_tar_entry("/etc/x"), "absolute path"),
    "drive letter": (with_zip({"C:/x": b""}), "absolute path"),
    "backslash root": (with_tar_entry("\\x"), "absolute path"),
    "zip slip": (with_zip({"good.txt": b"", "../evil.txt": b""}), r"leads out of the folder with '\.\.'"),
    "tar slip": (with_tar_entry("a/../../evil.txt"), "leads out of the folder"),
    "slip by backslash": (with_tar_entry("a\\..\\..\\evil.txt"), "leads out of the folder"),
    "backslash in a name": (with_tar_entry("a\\b.txt"), "backslash"),
    "symbolic link": (with_tar_entry("l", type=tarfile.SYMTYPE, linkname="/etc/passwd"), "is a link"),
    "hard link": (with_tar_entry("l", type=tarfile.LNKTYPE, linkname="good.txt"), "is a link"),
    "symbolic link in zip": (with_zip_mode(stat.S_IFLNK), "is a link"),
    "character device": (with_tar_entry("null", type=tarfile.CHRTYPE), "is a device"),
    "named pipe": (with_tar_entry("pipe", type=tarfile.FIFOTYPE), "is a device"),
    "device in zip": (with_zip_mode(stat.S_IFBLK), "is a device"),
    "sparse file": (with_tar_entry("s", type=tarfile.GNUTYPE_SPARSE), "is a sparse file"),
    "duplicate": (with_two_of_a_name, "is in it twice"),
    "file that is a folder too": (with_zip({"a": b"", "a/b": b""}), "is in it twice"),
    "folder that is a file too": (with_zip({"a/b": b"", "a": b""}), "is in it twice"),
    "two spellings of a path": (with_zip({"a/b": b"", "a//b": b""}), "is in it twice"),
    "case collision": (with_zip({"Chair/a": b"", "chair/b": b""}), "differs from 'Chair' in case"),
    "accent collision": (with_zip({"caf\u00e9": b"", "cafe\u0301": b""}), "case or accents"),
    "NUL in a name": (with_patched_zip(rename_in_directory), "control character"),
    "newline in a name": (with_tar_entry("a\nb.txt"), "control character"),
    "name that is no text": (with_tar_entry("a\udcff.txt"), "no text"),
    "too deep": (with_zip({"/".join("a" * (MAX_DEPTH + 1)): b""}), "folders deep"),
    "too long": (with_zip({"a" * 256: b""}), "longer name"),
    "too many": (with_zip({str(number): b"" for number in range(51)}), "larger than"),
    "bomb": (with_zip({"zeros": bytes(SMALL.num_bytes + 1)}), "larger than 100,000 bytes"),
    "bomb of many": (with_zip({f"{number}": bytes(4000) for number in range(30)}), "larger than"),
    "tar bomb": (with_tar_entry("zeros", bytes(SMALL.num_bytes + 1)), "larger than"),
    "huge header": (with_huge_header, "claims 1,073,741,824 bytes"),
    "much behind the end": (with_much_behind_the_end, "something large follows"),
    "encrypted": (with_patched_zip(encrypt), "is encrypted"),
    "unknown method": (with_patched_zip(method_of_the_future), r"method \(93\)"),
    "patch": (with_patched_zip(set_in_directory(8, 1 << 5)), "is a patch or strongly encrypted"),
    "strongly encrypted": (with_patched_zip(set_in_directory(8, 1 << 6)), "is a patch or strongly encrypted"),
    "version of the future": (with_patched_zip(set_in_directory(6, 99)), r"version .*6\.3 or older"),
    "damaged bzip2 in zip": (with_damaged_bzip2, "is damaged: Invalid data stream"),
    "names without end": (with_names_without_end, "is damaged.*recursion"),
    "damaged content": (with_patched_zip(damage_content), "damaged.*CRC"),
    "truncated zip": (with_cut_zip, "no archive|damaged"),
    "tar cut in a file": (with_cut("w", 2000), "damaged"),
    "tar cut between files": (with_cut("w", 512 + 3072), "breaks off"),
    "tar cut in a header": (with_cut("w", 512 + 3072 + 100), "breaks off"),
    "tar.gz cut": (with_cut("w:gz", 3000), "damaged"),
    "tar.gz without its checksum": (with_cut("w:gz", -4), "damaged"),
    "tar.xz cut": (with_cut("w:xz", 3000), "damaged"),
    "damaged header": (with_damaged_header, "breaks off"),
    "gzip of something else": (with_raw(gzip.compress(b"0 0 0\n" * 300)), "damaged"),
    "text": (with_raw(b"0 0 0\n" * 300), "is no archive"),
    "nothing": (with_raw(b""), "is no archive"),
    "web page": (with_raw(b"<!DOCTYPE html><html>Too many downloads"), "is a web page.*browser"),
    "7-Zip": (with_raw(b"7z\xbc\xaf\x27\x1c" + bytes(99)), "is a 7-Zip archive.*unpack it with 7-Zip"),
    "RAR": (with_raw(b"Rar!\x1a\x07\x01" + bytes(99)), "is a RAR archive.*data detect"),
}


@pytest.mark.parametrize(("make", "found"), HOSTILE.values(), ids=HOSTILE)
def test_a_hostile_or_damaged_archive_is_refused_and_leaves_nothing(
    make: Callable[[Path], Path], found: str, tmp_path: Path
) -> None:
    (tmp_path / "inside").mkdir()
    archive = make(tmp_path)
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
    with pytest.raises(DataError, match=f"(?s){found}") as refused:
        unpack(archive, tmp_path / "inside/target", limits=SMALL)
    assert refused.value.remedy
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*") if path.name != "inside"} == {
        path: time for path, time in before.items() if path.name != "inside"
    }


def test_a_wrong_checksum_is_refused_before_the_archive_is_opened(tmp_path: Path) -> None:
    path = write_zip(tmp_path / "a.zip", {"../evil": b""})
    with pytest.raises(DataError, match=r"has sha256 [0-9a-f]{64}.*ffff.*download it again"):
        unpack(path, tmp_path / "out", frozenset({"f" * 64}))
    assert [entry.name for entry in tmp_path.iterdir()] == ["a.zip"]


@pytest.mark.parametrize("kind", ["folder", "empty folder", "file", "dangling link"])
def test_an_existing_target_is_never_touched(kind: str, tmp_path: Path) -> None:
    path, target = write_zip(tmp_path / "a.zip", FILES), tmp_path / "out"
    if "folder" in kind:
        target.mkdir()
    if kind == "folder":
        (target / "mine.txt").write_text("mine")
    if kind == "file":
        target.write_text("mine")
    if kind == "dangling link":
        target.symlink_to("nowhere")
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(DataError, match="exists already"):
        unpack(path, target)
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize(("archive", "target"), [("gone.zip", "out"), ("a.zip", "no/such/out")])
def test_what_is_not_there_is_named(archive: str, target: str, tmp_path: Path) -> None:
    write_zip(tmp_path / "a.zip", FILES)
    with pytest.raises(DataError, match=r"gone\.zip cannot be read|no folder .*no/such"):
        unpack(tmp_path / archive, tmp_path / target)
    assert [entry.name for entry in tmp_path.iterdir()] == ["a.zip"]


def test_the_ratio_of_a_bomb_is_out_of_bounds_and_that_of_an_ordinary_archive_within(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(bytes(10 << 20))
    bound = Limits.of(path, tmp_path).num_bytes
    assert 20 * (10 << 20) < bound < 1000 * (10 << 20)
