"""Where a finished teacher lies, and by what it is told again: its folder, its hashes."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pointlab import distributed
from pointlab.errors import StorageError
from pointlab.experiment.local_models import local_model
from pointlab.experiment.stored_models import model_manifest
from pointlab.experiment.teacher import FinishedTeacher, TeacherExperiment
from pointlab.storage import Storage
from pointlab.teachers import architecture_of, find_folder, identity_of, require_hash
from pointlab.training import Run

BEGAN_WITH = "teachers.json"
"""File of a run that tells what it learns from."""
HASHES = {
    "sha256": "weights of the sha256",
    "architecture": "a config.json of the hash",
    "identity": "files that prepare pictures and texts for it, with the joint hash",
}
"""By what is stored of a teacher: what it tells. Equal weights with other heads are another function, and
so they are after another preparation."""


def folder_of(source: FinishedTeacher, run: str | None, storage: Storage) -> Path:
    """The folder of `transformers` with this network: what its `run` left, or the one of its hash.

    Raises StorageError where that run left none, DataError where the folder is missing or holds others.
    """
    if isinstance(source, TeacherExperiment):
        assert run is not None, "a teacher is finished before what learns from it"
        return local_model(storage, run)
    folder = find_folder(source.path)
    require_hash(folder, source.sha256)
    return folder


def hashes_of(source: FinishedTeacher, run: str | None, storage: Storage) -> dict[str, str]:
    """Kind of a teacher, the sha256 of its weights, the hash of its config.json as far as it counts, and that
    of all that decides what it says.

    Raises what `folder_of` does.
    """
    folder = folder_of(source, run, storage)
    hashes = {"architecture": architecture_of(folder), "identity": identity_of(folder)}
    if isinstance(source, TeacherExperiment):
        assert run is not None, "a teacher is finished before what learns from it"
        return {
            "kind": "teacher",
            "run": run,
            "sha256": model_manifest(storage, run).details["sha256"],
            **hashes,
        }
    return {"kind": "folder", "sha256": source.sha256, **hashes}


def require_same_teachers(storage: Storage, run: str, now: Mapping[str, Mapping[str, Any]]) -> None:
    """Return where a run that goes on learns from the teachers that it began with, by role; one that begins
    writes down what tells them.

    Raises StorageError where one has become another, though run name and weights may be the same.
    """
    path = f"runs/{run}/{BEGAN_WITH}"
    has_begun = Run(storage, run).checkpoints() and storage.exists(path)
    if now and not has_begun and distributed.rank() == 0:
        storage.write(path, json.dumps(now, indent=1).encode())
    began_with: dict[str, Any] = json.loads(storage.read(path)) if has_begun else {}
    for role, then in began_with.items():
        if differing := difference(then, now[role]):
            found, expected = differing
            raise StorageError(
                f"The {role} of {run} now has {found}.",
                expected=f"{expected}, with which that run began",
                remedy=f"bring that teacher back, or delete {storage.locate(f'runs/{run}')} and run again",
            )


def difference(then: Mapping[str, Any], now: Mapping[str, Any]) -> tuple[str, str] | None:
    """What `now` is that `then` was not, and what was expected; None where both tell of one network."""
    for name, what in HASHES.items():
        if name in then and then[name] != now.get(name):
            return f"{what} {now.get(name)}", str(then[name])
    return None
