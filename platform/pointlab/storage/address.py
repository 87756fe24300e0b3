"""Addresses: one root, a local folder or `s3://bucket/prefix`, behind one small set of operations.

Paths are relative to the root, with forward slashes. A `Storage` travels between processes as its address
only: each process finds credentials and endpoint in its own environment (the usual AWS variables), so no
key is ever pickled, logged or written.
"""

import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.fs as pafs

from pointlab.errors import StorageError


class Storage:
    """Files below one root address; every path argument is relative to it."""

    def __init__(self, address: str) -> None:
        """Open `address` without touching it; see `open_storage` for the checked way.

        A folder is made absolute at once: workers have other working directories.
        """
        self.filesystem, self.root = _open_filesystem(address)
        self.address = self.root if self.is_local else address

    def __reduce__(self) -> tuple[Callable[[str], "Storage"], tuple[str]]:
        return Storage, (self.address,)

    def __repr__(self) -> str:
        return f"Storage({self.address!r})"

    @property
    def is_local(self) -> bool:
        """Whether files of this storage can be opened by path on this machine."""
        return isinstance(self.filesystem, pafs.LocalFileSystem)

    def locate(self, path: str) -> str:
        """Full address of `path`, for messages and records."""
        return f"{self.address.rstrip('/')}/{path}" if path else self.address

    def read(self, path: str) -> bytes:
        """Content of the file; StorageError if there is none."""
        try:
            with self.filesystem.open_input_stream(self._full(path)) as stream:
                return bytes(stream.read())
        except FileNotFoundError:
            raise StorageError(f"There is no {self.locate(path)}.") from None
        except OSError as error:
            raise StorageError(f"{self.locate(path)} cannot be read: {error}.") from error

    def write(self, path: str, content: bytes) -> None:
        """Put `content` at `path`, replacing what was there; a local reader never sees half of it."""
        try:
            if self.is_local:
                self._write_local(Path(self._full(path)), content)
            else:
                with self.filesystem.open_output_stream(self._full(path)) as stream:
                    stream.write(content)
        except OSError as error:
            raise _unwritable(self.locate(path), error) from error

    def create(self, path: str, content: bytes) -> bool:
        """Put `content` at `path` only if nothing is there: of several who try, exactly one gets True."""
        target = Path(self._full(path))
        target.parent.mkdir(parents=True, exist_ok=True)
        unfinished = target.with_name(f".{target.name}.{os.getpid()}.{threading.get_ident()}")
        try:
            unfinished.write_bytes(content)
            os.link(unfinished, target)
        except FileExistsError:
            return False
        except OSError as error:
            raise _unwritable(self.locate(path), error) from error
        finally:
            unfinished.unlink(missing_ok=True)
        return True

    def _write_local(self, target: Path, content: bytes) -> None:
        target.parent.mkdir(parents=True, exist_ok=True)
        unfinished = target.with_name(f".{target.name}.{os.getpid()}")
        try:
            with unfinished.open("wb") as stream:
                stream.write(content)
                stream.flush()
                os.fsync(stream.fileno())
            unfinished.replace(target)
        finally:
            unfinished.unlink(missing_ok=True)

    def exists(self, path: str) -> bool:
        """Whether there is a file or folder at `path`."""
        return bool(self.filesystem.get_file_info(self._full(path)).type != pafs.FileType.NotFound)

    def folders(self, path: str) -> list[str]:
        """Names of the folders directly below `path`, sorted; none if it does not exist."""
        return self._children(path, pafs.FileType.Directory)

    def files(self, path: str) -> list[str]:
        """Names of the files directly below `path`, sorted; none if it does not exist.

        Names with a leading dot, which unfinished local writes have, are passed over.
        """
        names = self._children(path, pafs.FileType.File)
        return [name for name in names if not name.startswith(".")]

    def _children(self, path: str, kind: Any) -> list[str]:
        selector = pafs.FileSelector(self._full(path), allow_not_found=True)
        infos = self.filesystem.get_file_info(selector)
        return sorted(info.base_name for info in infos if info.type == kind)

    def delete_folder(self, path: str) -> None:
        """Remove the folder and all below it; nothing happens if there is none."""
        if self.exists(path):
            self.filesystem.delete_dir(self._full(path))

    def delete_file(self, path: str) -> None:
        """Remove one file."""
        self.filesystem.delete_file(self._full(path))

    def _full(self, path: str) -> str:
        if ".." in path.split("/") or path.startswith("/"):
            raise StorageError(f"The path {path!r} leads out of {self.address}.")
        return f"{self.root}/{path}" if path else self.root


def open_storage(address: str) -> Storage:
    """Storage at `address`, made if it is a new local folder; StorageError if it cannot be written."""
    storage = Storage(address)
    probe = f".probe-{os.getpid()}"
    try:
        storage.write(probe, b"")
        storage.delete_file(probe)
    except StorageError as error:
        raise _unwritable(storage.address, error.__cause__) from error
    return storage


def _open_filesystem(address: str) -> tuple[pafs.FileSystem, str]:
    scheme, separator, rest = address.partition("://")
    if not separator:
        return pafs.LocalFileSystem(), str(Path(address).expanduser().absolute())
    if scheme == "file":
        return pafs.LocalFileSystem(), str(Path("/" + rest.lstrip("/")))
    if scheme == "s3" and rest.strip("/"):
        return pafs.S3FileSystem(**_s3_settings()), rest.strip("/")
    raise StorageError(
        f"The storage address {address!r} is not understood.",
        expected="a folder, file:///folder or s3://bucket/prefix",
    )


def _s3_settings() -> dict[str, str]:
    endpoint = os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL")
    region = os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION") or "us-east-1"
    return {"region": region} | ({"endpoint_override": endpoint} if endpoint else {})


def _unwritable(where: str, error: BaseException | None) -> StorageError:
    return StorageError(
        f"{where} cannot be written: {error}.",
        expected="a storage address this user may write to",
        remedy="choose another with --root, free some space, or repair the permissions",
    )
