"""What a kind of store can do, and how it tells that it holds what was written to it.

`Storage` checks paths and delegates to one of these; paths here are complete: a file's path on this
machine, or bucket and key.
"""

import hashlib
from abc import ABC, abstractmethod
from dataclasses import dataclass

from pointlab.errors import StorageError


class AbsentError(StorageError):
    """A file that is not there."""


@dataclass(frozen=True)
class Fingerprint:
    """What identifies a content: its size, its sha256, and the tag an object store would give it, if any."""

    size: int
    sha256: str
    entity_tag: str | None = None


def sha256(content: bytes) -> str:
    """The sha256 of `content`, as manifests write it."""
    return hashlib.sha256(content).hexdigest()


class Files(ABC):
    """Operations on one kind of store.

    All raise StorageError; one that was not answered raises UnreachableError when patience has ended.
    """

    @abstractmethod
    def check(self, root: str) -> None:
        """Find out within seconds whether something can be kept below `root`; StorageError if not."""

    @abstractmethod
    def read(self, path: str) -> bytes:
        """Content of the file, never half of a newer one; AbsentError if there is none."""

    @abstractmethod
    def write(self, path: str, content: bytes) -> None:
        """Put `content` at `path`, replacing what was there."""

    @abstractmethod
    def create(self, path: str, content: bytes) -> bool:
        """Put `content` at `path` only if nothing is there: of several who try, exactly one gets True."""

    @abstractmethod
    def fingerprint(self, content: bytes) -> Fingerprint:
        """What the store should say of `content`."""

    @abstractmethod
    def entity_tag(self, path: str) -> str | None:
        """The store's own checksum of what it holds at `path`; None if it has none, or nothing is there."""

    @abstractmethod
    def exists(self, path: str) -> bool:
        """Whether there is a file or folder at `path`."""

    @abstractmethod
    def folders(self, path: str) -> list[str]:
        """Names of the folders directly below `path`, in any order; none if it does not exist."""

    @abstractmethod
    def sizes(self, path: str) -> dict[str, int]:
        """Bytes of the files directly below `path`, by their names; none if it does not exist."""

    @abstractmethod
    def delete_file(self, path: str) -> None:
        """Remove the file; nothing happens if there is none."""

    @abstractmethod
    def delete_folder(self, path: str) -> None:
        """Remove the folder and all below it; nothing happens if there is none."""

    @abstractmethod
    def sweep(self, path: str) -> int:
        """Remove what writes that never ended left below `path`; how many there were."""
