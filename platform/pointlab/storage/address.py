"""Addresses: one root, a local folder or `s3://bucket/prefix`, behind one small set of operations.

Paths are relative to the root, with forward slashes. A `Storage` travels between processes as its address
only: each process finds credentials and endpoint in its own environment (the usual AWS variables), so no
key is ever pickled, logged or written.
"""

from collections.abc import Callable
from pathlib import Path

from pointlab.errors import StorageError
from pointlab.storage.files import AbsentError, Files, Fingerprint, sha256
from pointlab.storage.local import LocalFiles


class Storage:
    """Files below one root address; every path argument is relative to it.

    Everything raises StorageError for what the store refuses. Operations on a remote store are tried again
    while it does not answer, and raise UnreachableError when patience has ended.
    """

    def __init__(self, address: str, patience: float | None = None) -> None:
        """Open `address` without touching it; see `open_storage` for the checked way.

        A folder is made absolute at once: workers have other working directories. `patience` is how many
        seconds a store that does not answer is asked again in this process; None: as the environment says.
        """
        self._files, self.root = _open_files(address, patience)
        self.address = self.root if self.is_local else f"s3://{self.root}"

    def __reduce__(self) -> tuple[Callable[[str], "Storage"], tuple[str]]:
        return Storage, (self.address,)

    def __repr__(self) -> str:
        return f"Storage({self.address!r})"

    @property
    def is_local(self) -> bool:
        """Whether files of this storage can be opened by path on this machine."""
        return isinstance(self._files, LocalFiles)

    def locate(self, path: str) -> str:
        """Full address of `path`, for messages and records."""
        return f"{self.address.rstrip('/')}/{path}" if path else self.address

    def check(self) -> None:
        """Return if something can be kept here, making a new local folder; StorageError within seconds."""
        self._files.check(self.root)

    def read(self, path: str) -> bytes:
        """Content of the file, never half of a newer one; AbsentError if there is none."""
        return self._files.read(self._full(path))

    def write(self, path: str, content: bytes) -> None:
        """Put `content` at `path`, replacing what was there; a reader never sees half of it."""
        self._files.write(self._full(path), content)

    def create(self, path: str, content: bytes) -> bool:
        """Put `content` at `path` only if nothing is there: of several who try, exactly one gets True.

        Their contents must differ: where an answer is lost, the file is read to find out whose it is.
        """
        return self._files.create(self._full(path), content)

    def fingerprint(self, content: bytes) -> Fingerprint:
        """What `holds` needs to know of a content; it can be computed while the content is written."""
        return self._files.fingerprint(content)

    def holds(self, path: str, fingerprint: Fingerprint) -> bool:
        """Whether the store has exactly this content at `path`: by its own checksum, or else read back."""
        tag = self._files.entity_tag(self._full(path))
        if tag is not None and tag == fingerprint.entity_tag:
            return True
        try:
            return sha256(self.read(path)) == fingerprint.sha256
        except AbsentError:
            return False

    def exists(self, path: str) -> bool:
        """Whether there is a file or folder at `path`."""
        return self._files.exists(self._full(path))

    def folders(self, path: str) -> list[str]:
        """Names of the folders directly below `path`, sorted; none if it does not exist."""
        return sorted(self._files.folders(self._full(path)))

    def files(self, path: str) -> list[str]:
        """Names of the files directly below `path`, sorted; none if it does not exist.

        Names with a leading dot, which unfinished local writes have, are passed over.
        """
        return sorted(self.sizes(path))

    def sizes(self, path: str) -> dict[str, int]:
        """Bytes of the files directly below `path`, by their names, as `files` gives them."""
        found = self._files.sizes(self._full(path))
        return {name: size for name, size in found.items() if not name.startswith(".")}

    def delete_folder(self, path: str) -> None:
        """Remove the folder and all below it; nothing happens if there is none."""
        self._files.delete_folder(self._full(path))

    def delete_file(self, path: str) -> None:
        """Remove one file; nothing happens if there is none."""
        self._files.delete_file(self._full(path))

    def sweep(self, path: str) -> int:
        """Remove what writes that were killed left below `path`, and return how many there were.

        On S3 these are unfinished uploads, which cost space and are not seen: whose they are is not seen
        either, so nobody else may be writing there. Locally the files of live processes are left alone.
        """
        return self._files.sweep(self._full(path))

    def _full(self, path: str) -> str:
        if ".." in path.split("/") or path.startswith("/"):
            raise StorageError(f"The path {path!r} leads out of {self.address}.")
        return f"{self.root}/{path}" if path else self.root


def open_storage(address: str) -> Storage:
    """Storage at `address`, made if it is a new local folder; StorageError if it cannot be written."""
    storage = Storage(address)
    storage.check()
    return storage


def _open_files(address: str, patience: float | None) -> tuple[Files, str]:
    scheme, separator, rest = address.partition("://")
    if not separator:
        return LocalFiles(), str(Path(address).expanduser().absolute())
    if scheme == "file":
        return LocalFiles(), str(Path("/" + rest.lstrip("/")))
    if scheme == "s3":
        from pointlab.storage.s3 import S3Files, parse_root  # what a local user need not load

        root = parse_root(rest)
        return S3Files(root, patience), root
    raise StorageError(
        f"The storage address is not understood: it begins with {scheme}://.",
        expected="a folder, file:///folder or s3://bucket/prefix",
    )
