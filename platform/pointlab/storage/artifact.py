"""Artifacts: folders that exist exactly when their `manifest.json` does.

Every file is written and verified, by the store's own checksum where it gives one and by reading it back
where it does not; the manifest, which lists sizes and sha256 of them all, is written last. A reader
therefore meets a whole artifact or none: what a crash leaves behind is ignored, named in the log, and
replaced by the next attempt.
"""

import json
import logging
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from pointlab.errors import DamagedError, StorageError
from pointlab.storage.address import Storage
from pointlab.storage.files import AbsentError, sha256

logger = logging.getLogger(__name__)
MANIFEST = "manifest.json"
NUM_TRIES = 3
"""How often a file is written that the store keeps as something else."""


class FileEntry(BaseModel):
    """Size in bytes and sha256 of one file of an artifact."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    size: int
    sha256: str


class Manifest(BaseModel):
    """What an artifact holds: its files, and `details` that its owner keeps beside them."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    kind: str
    files: dict[str, FileEntry]
    details: dict[str, Any] = {}


def put(storage: Storage, path: str, content: bytes) -> FileEntry:
    """Write `content` to `path` and verify it; StorageError if the store keeps something else each time.

    The content is hashed while it is on its way.
    """
    with ThreadPoolExecutor(max_workers=1) as beside:
        hashing = beside.submit(storage.fingerprint, content)
        for _ in range(NUM_TRIES):
            storage.write(path, content)
            fingerprint = hashing.result()
            if storage.holds(path, fingerprint):
                return FileEntry(size=fingerprint.size, sha256=fingerprint.sha256)
            logger.warning("%s does not hold what was just written to it", storage.locate(path))
    raise StorageError(
        f"{storage.locate(path)} does not hold what was just written to it.",
        remedy="check the disk or the object store; nothing refers to this file yet, so run again",
    )


def seal(
    storage: Storage, path: str, kind: str, files: Mapping[str, FileEntry], details: Mapping[str, Any]
) -> Manifest:
    """Make the folder at `path` an artifact by writing its manifest; its `files` must be there already."""
    manifest = Manifest(kind=kind, files=dict(sorted(files.items())), details=dict(details))
    put(storage, f"{path}/{MANIFEST}", json.dumps(manifest.model_dump(), indent=1).encode())
    return manifest


def publish(
    storage: Storage, path: str, kind: str, contents: Mapping[str, bytes], details: Mapping[str, Any]
) -> Manifest:
    """Store `contents` (file name to bytes) as one artifact at `path`; an existing one is never changed.

    Raises StorageError if an artifact is there already.
    """
    if storage.exists(f"{path}/{MANIFEST}"):
        raise StorageError(f"{storage.locate(path)} exists and is immutable.", remedy="write to a new name")
    storage.delete_folder(path)
    files = {name: put(storage, f"{path}/{name}", content) for name, content in contents.items()}
    return seal(storage, path, kind, files, details)


def read_manifest(storage: Storage, path: str) -> Manifest | None:
    """The manifest of the artifact at `path`, or None if there is no whole artifact.

    Raises DamagedError if it is there and can't be understood.
    """
    try:
        return Manifest.model_validate_json(storage.read(f"{path}/{MANIFEST}"))
    except AbsentError:
        return None
    except ValidationError:
        raise _damaged(storage, f"{path}/{MANIFEST}", "is damaged", path) from None


def read_verified(
    storage: Storage, path: str, name: str, manifest: Manifest, owner: str | None = None
) -> bytes:
    """Content of one file of an artifact; DamagedError if it is missing or not what the manifest promises.

    `owner` is the folder to make anew in that case, where it is more than the artifact itself.
    """
    try:
        content = storage.read(f"{path}/{name}")
    except AbsentError:
        found = "is missing, though the manifest lists it"
        raise _damaged(storage, f"{path}/{name}", found, owner or path) from None
    if sha256(content) != manifest.files[name].sha256:
        found = "is damaged: its sha256 is not the one in the manifest"
        raise _damaged(storage, f"{path}/{name}", found, owner or path)
    return content


def _damaged(storage: Storage, path: str, found: str, owner: str) -> DamagedError:
    return DamagedError(
        f"{storage.locate(path)} {found}.",
        remedy=f"delete {storage.locate(owner)} and run again to make it anew",
    )


def fetch(storage: Storage, path: str, target: Path) -> Manifest:
    """Copy the artifact at `path` into the folder `target`, verifying every file.

    Raises StorageError if there is no whole artifact, DamagedError if a file is not what it was.
    """
    manifest = read_manifest(storage, path)
    if manifest is None:
        raise StorageError(f"There is no whole artifact at {storage.locate(path)}.")
    for name in manifest.files:
        destination = target / name
        destination.parent.mkdir(parents=True, exist_ok=True)
        destination.write_bytes(read_verified(storage, path, name, manifest))
    return manifest


def remove(storage: Storage, path: str) -> None:
    """Delete the artifact at `path`, its manifest first: it is never there in part."""
    storage.delete_file(f"{path}/{MANIFEST}")
    storage.delete_folder(path)


def whole_artifacts(storage: Storage, parent: str) -> list[str]:
    """Sorted names of the artifacts below `parent`; incomplete ones are left out and named in the log."""
    names = []
    for name in storage.folders(parent):
        if storage.exists(f"{parent}/{name}/{MANIFEST}"):
            names.append(name)
        else:
            logger.warning("%s is incomplete and ignored", storage.locate(f"{parent}/{name}"))
    return names
