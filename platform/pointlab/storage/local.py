"""Files in a folder of this machine, or of one that is mounted here.

A file is written beside its name, flushed to the disk and renamed: no reader sees half of it, and a full
disk leaves the old one as it was.
"""

import contextlib
import os
import re
import shutil
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from pointlab.errors import StorageError
from pointlab.storage.files import AbsentError, Files, Fingerprint, sha256

FOREIGN_STALE_SECONDS = 24 * 3600.0
"""Age of an abandoned file of another machine, whose processes cannot be seen from here."""
HOST = re.sub(r"\W", "-", socket.gethostname())
UNFINISHED = re.compile(r"\..+\.(?P<host>[\w-]+)\.(?P<process>\d+)\.\d+")


class LocalFiles(Files):
    """Files and folders by path."""

    def check(self, root: str) -> None:
        """Write a file and remove it, making the folder if it is new."""
        probe = f"{root}/.probe-{HOST}-{os.getpid()}"
        try:
            self._place(probe, b"", os.replace)
            Path(probe).unlink()
        except OSError as error:
            raise _unwritable(root, error) from error

    def read(self, path: str) -> bytes:
        """Content of the file."""
        try:
            return Path(path).read_bytes()
        except FileNotFoundError:
            raise AbsentError(f"There is no {path}.") from None
        except OSError as error:
            raise StorageError(f"{path} cannot be read: {error}.") from error

    def write(self, path: str, content: bytes) -> None:
        """Replace the file in one step."""
        try:
            self._place(path, content, os.replace)
        except OSError as error:
            raise _unwritable(path, error) from error

    def create(self, path: str, content: bytes) -> bool:
        """Link the file to its name, which only one can do."""
        try:
            self._place(path, content, os.link)
        except FileExistsError:
            return False
        except OSError as error:
            raise _unwritable(path, error) from error
        return True

    def _place(self, path: str, content: bytes, put: Callable[[Path, Path], None]) -> None:
        """Write `content` beside `path` and have `put(unfinished, path)` give it its name."""
        target = Path(path)
        target.parent.mkdir(parents=True, exist_ok=True)
        unfinished = target.with_name(f".{target.name}.{HOST}.{os.getpid()}.{threading.get_ident()}")
        try:
            with unfinished.open("wb") as stream:
                stream.write(content)
                stream.flush()
                os.fsync(stream.fileno())
            put(unfinished, target)
        finally:
            unfinished.unlink(missing_ok=True)

    def fingerprint(self, content: bytes) -> Fingerprint:
        """Size and sha256: a file system keeps no checksum to compare with."""
        return Fingerprint(len(content), sha256(content))

    def entity_tag(self, path: str) -> None:
        """None: what was written has to be read back."""

    def exists(self, path: str) -> bool:
        """Whether the path exists."""
        return Path(path).exists()

    def folders(self, path: str) -> list[str]:
        """Names of the folders in a folder."""
        return [entry.name for entry in _entries(path) if entry.is_dir()]

    def sizes(self, path: str) -> dict[str, int]:
        """Bytes of the files in a folder; one that another process takes away meanwhile is left out."""
        found = {}
        for entry in _entries(path):
            with contextlib.suppress(FileNotFoundError):
                if entry.is_file():
                    found[entry.name] = entry.stat().st_size
        return found

    def delete_file(self, path: str) -> None:
        """Unlink the file."""
        try:
            Path(path).unlink(missing_ok=True)
        except OSError as error:
            raise _unremovable(path, error) from error

    def delete_folder(self, path: str) -> None:
        """Remove the tree."""
        try:
            shutil.rmtree(path)
        except FileNotFoundError:
            pass
        except OSError as error:
            raise _unremovable(path, error) from error

    def sweep(self, path: str) -> int:
        """Remove files that a killed process had begun; those of live processes stay."""
        stale = [each for each in Path(path).rglob(".*") if each.is_file() and _is_abandoned(each)]
        for each in stale:
            self.delete_file(str(each))
        return len(stale)


def _is_abandoned(path: Path) -> bool:
    name = UNFINISHED.fullmatch(path.name)
    if name is None:
        return False
    if name["host"] == HOST:
        return not _is_alive(int(name["process"]))
    return time.time() - path.stat().st_mtime > FOREIGN_STALE_SECONDS


def _is_alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _entries(path: str) -> Iterator[os.DirEntry[str]]:
    try:
        with contextlib.suppress(FileNotFoundError), os.scandir(path) as entries:
            yield from entries
    except OSError as error:
        raise StorageError(f"{path} cannot be listed: {error}.") from error


def _unwritable(path: str, error: OSError) -> StorageError:
    return StorageError(
        f"{path} cannot be written: {error}.",
        expected="a storage address this user may write to",
        remedy="choose another with --root, free some space, or repair the permissions",
    )


def _unremovable(path: str, error: OSError) -> StorageError:
    return StorageError(f"{path} cannot be removed: {error}.", remedy="repair its permissions, or remove it")
