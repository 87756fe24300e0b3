"""Records: what one finished experiment found, with everything needed to trust and repeat it.

A record is an artifact at `runs/<run>/record`, written once and never changed.
"""

import difflib
import json
from typing import Any

from pydantic import BaseModel, ConfigDict

from pointlab.errors import StorageError
from pointlab.storage.address import Storage
from pointlab.storage.artifact import publish, read_manifest, read_verified

RECORD = "record.json"


class Record(BaseModel):
    """One finished experiment.

    `metrics` are named `split/metric`; `curves` are tables (a list of rows with equal keys), such as the
    accuracy at every mixing coefficient. `device_seconds` adds up the training workers' wall time, `flops`
    their operations as far as they are counted (`training/flops.py`); 0 where they are not.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")
    run: str
    kind: str
    name: str
    seed: int
    protocol: str
    config: dict[str, Any]
    code_version: str
    datasets: dict[str, str] = {}
    parents: dict[str, str] = {}
    metrics: dict[str, float] = {}
    curves: dict[str, list[dict[str, float | str]]] = {}
    notes: dict[str, str] = {}
    samples_seen: int = 0
    device_seconds: float = 0.0
    flops: float = 0.0
    wall_seconds: float = 0.0
    finished: str = ""
    environment: dict[str, str] = {}


def write_record(storage: Storage, record: Record) -> str:
    """Publish `record` with its run and return its path."""
    path = f"runs/{record.run}/record"
    content = json.dumps(record.model_dump(), indent=1).encode()
    publish(storage, path, "record", {RECORD: content}, {"run": record.run})
    return path


def read_record(storage: Storage, run: str) -> Record | None:
    """The record of `run`, verified, or None while the run is unfinished."""
    path = f"runs/{run}/record"
    manifest = read_manifest(storage, path)
    return (
        None
        if manifest is None
        else Record.model_validate_json(read_verified(storage, path, RECORD, manifest))
    )


def require_record(storage: Storage, run: str) -> Record:
    """The record of `run`; StorageError, with the names of runs like it, where it has none."""
    record = read_record(storage, run)
    if record is None:
        raise no_record(storage, run)
    return record


def no_record(storage: Storage, run: str) -> StorageError:
    """The error for a run that is unfinished, or that nobody knows: with names like it."""
    known = storage.folders("runs")
    if run in known:
        return StorageError(
            f"The run {run!r} in {storage.address} is unfinished: it has no record yet.",
            remedy="run its config again; it goes on from its newest checkpoint",
        )
    near = difflib.get_close_matches(run, known, n=3, cutoff=0.3) or known[:3]
    return StorageError(
        f"There is no run {run!r} in {storage.address}.",
        expected=f"a finished run, such as {', '.join(near)}" if near else "a store with finished runs",
        remedy="list them all with pointlab show",
    )
