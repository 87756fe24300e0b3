"""The store: written, read, listed and deleted with the endpoint and the keys of this process."""

import secrets
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pointlab.doctor.finding import Finding, failed, passed, warned
from pointlab.doctor.traces import deleted_after, new_token, sweep
from pointlab.errors import StorageError
from pointlab.storage import AbsentError, Storage
from pointlab.storage.artifact import put

PATIENCE = 5.0
"""Seconds for which a store is asked again: someone waits for the answer."""


def reached_by(storage: Storage) -> str:
    """The endpoint in use, or that the store is a folder."""
    if storage.is_local:
        return "a folder"
    from pointlab.storage.s3_access import endpoint, region

    return f"endpoint {endpoint() or 'of AWS'}, region {region()}"


@dataclass(frozen=True)
class RoundTrip:
    """That this process can keep something in the store, find it, and take it away again."""

    address: str
    name: str = "storage"
    seconds: float = 60.0

    def run(self) -> Iterator[Finding]:
        """A pass with the endpoint, or what the store objected to; nothing is left behind."""
        yield from round_trip(Storage(existing(self.address), PATIENCE), self.address)


def round_trip(storage: Storage, address: str) -> Iterator[Finding]:
    """What using a store has shown, which messages call by this address."""
    began = time.monotonic()
    try:
        storage.check()
        sweep(storage)
        found = list(_oddities(storage, new_token()))
    except StorageError as error:
        yield _refusal(error, storage)
        return
    yield from found
    if all(finding.verdict != "failure" for finding in found):
        told = f"written, read, listed and deleted in {time.monotonic() - began:.1f} s"
        yield passed(f"{address} ({reached_by(storage)}): {told}")


def is_usable(address: str) -> bool:
    """Whether the round trip of a store finds nothing that fails."""
    return all(finding.verdict != "failure" for finding in RoundTrip(address).run())


def existing(address: str) -> str:
    """The address; of a local folder that is not there, the nearest one above it, where it would be made."""
    storage = Storage(address)
    if not storage.is_local:
        return address
    path = Path(storage.address)
    return str(next(folder for folder in (path, *path.parents) if folder.exists()))


def _refusal(error: StorageError, storage: Storage) -> Finding:
    """What a store objected to, with the way to it that was taken."""
    try:
        way = f" Used: {reached_by(storage)}."
    except StorageError:
        way = ""  # it is the endpoint which is refused
    return failed(error.found + way, error.remedy or f"expected is {error.expected}")


def _oddities(storage: Storage, token: str) -> Iterator[Finding]:
    """Whatever is odd about the store, found by using it; StorageError where it refuses."""
    where = storage.address
    with deleted_after(storage, token, f"{token}.lease"):
        put(storage, token, secrets.token_bytes(64))
        if token not in storage.files(""):
            yield failed(
                f"{where} does not list what was just written to it.",
                "allow listing of the bucket (s3:ListBucket); finished runs could not be found",
            )
        first, second = (storage.create(f"{token}.lease", content) for content in (b"first", b"second"))
        if (first, second) != (True, False):
            yield warned(
                f"{where} does not refuse a second writer: it knows no conditional put.",
                "start no run twice at the same moment, or use a store that has If-None-Match",
            )
    if storage.exists(token):
        yield failed(f"{where} keeps what is deleted.", "allow deleting in the bucket (s3:DeleteObject)")


@dataclass(frozen=True)
class Shared:
    """On a node: that it sees what the driver has written, and leaves an answer beside it."""

    address: str
    token: str
    """The file that the driver has written."""
    node: str
    """Ends the name of the answer."""
    name: str = "storage"
    seconds: float = 60.0

    def run(self) -> Iterator[Finding]:
        """A pass, or why this node does not share the driver's store."""
        storage = Storage(self.address, PATIENCE)
        try:
            storage.read(self.token)
            storage.write(f"{self.token}.{self.node}", b"seen")
        except AbsentError:
            found = f"What the driver wrote to {self.address} ({reached_by(storage)}) is not there."
            yield failed(found, self._remedy(storage))
        except StorageError as error:
            yield _refusal(error, storage)
        else:
            yield passed(f"read and written at {self.address} ({reached_by(storage)})")

    def _remedy(self, storage: Storage) -> str:
        if storage.is_local:
            return "use s3://bucket/prefix, or mount the same folder at this path on every node"
        return "give all nodes the same AWS_ENDPOINT_URL: here it leads to another store"
