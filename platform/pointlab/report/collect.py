"""What a page is made from: the records of some runs and of their parents, their logs, their datasets."""

from collections.abc import Sequence
from dataclasses import dataclass

from pointlab.data.manifest import DatasetManifest, read_dataset
from pointlab.errors import StorageError
from pointlab.storage import Record, Storage, no_record, read_manifest, read_record
from pointlab.study import read_interim
from pointlab.training import Run
from pointlab.training.run import Line

MAX_TRIAL_LOGS = 40
"""Trials whose logs are read, best first: enough to see how they spread, and a bounded page."""


@dataclass(frozen=True)
class Material:
    """Everything a page tells, as it was found in the store.

    `records` holds each run once, parents before their children. `logs` is by run, trials included;
    `datasets` is by name and lacks the sets that are no longer in the store.
    """

    asked: tuple[Record, ...]
    records: tuple[Record, ...]
    logs: dict[str, list[Line]]
    datasets: dict[str, DatasetManifest]

    def clouds_in(self, dataset: str | None, split: str) -> int | None:
        """Number of clouds in a split, or None where it is not known."""
        manifest = self.datasets.get(dataset or "")
        return None if manifest is None else manifest.rows.get(split)


def collect(storage: Storage, runs: Sequence[str]) -> Material:
    """Read all that a page on `runs` needs; StorageError for a run that has no record.

    Of a study that is unfinished, what it has found so far stands in for its record.
    """
    if not runs:
        raise StorageError("A report was asked for, on no run.", remedy="name at least one finished run")
    found: dict[str, Record] = {}
    for run in runs:
        _add_with_parents(storage, run, found)
    logged = [*found, *(trial for record in found.values() for trial in best_trials(record))]
    logs = {run: Run(storage, run).read_log() for run in logged}
    names = {name for record in found.values() for name in record.datasets.values()}
    return Material(
        asked=tuple(found[run] for run in dict.fromkeys(runs)),
        records=tuple(found.values()),
        logs={run: lines for run, lines in logs.items() if lines},
        datasets={name: read_dataset(storage, name) for name in sorted(names) if _is_there(storage, name)},
    )


def best_trials(record: Record) -> list[str]:
    """Runs of a search's finished trials, the best first, at most `MAX_TRIAL_LOGS`."""
    finished = [row for row in record.curves.get("trials", []) if row.get("run")]
    finished.sort(key=lambda row: (-float(row["score"]), str(row["run"])))
    return [str(row["run"]) for row in finished[:MAX_TRIAL_LOGS]]


def _add_with_parents(storage: Storage, run: str, found: dict[str, Record]) -> None:
    if run in found:
        return
    record = read_record(storage, run) or read_interim(storage, run)
    if record is None:
        raise no_record(storage, run)
    for parent in record.parents.values():
        _add_with_parents(storage, parent, found)
    found[run] = record


def _is_there(storage: Storage, dataset: str) -> bool:
    return read_manifest(storage, f"datasets/{dataset}") is not None
