"""What a page is made from: the records of some runs and of their parents, their logs, their datasets."""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from pointlab.data.manifest import DatasetManifest, read_dataset
from pointlab.errors import StorageError
from pointlab.experiment.resolve import FINE_TUNED
from pointlab.storage import Record, Storage, no_record, read_manifest, read_record
from pointlab.study import read_interim
from pointlab.training import Run
from pointlab.training.run import Line

MAX_TRIAL_LOGS = 40
"""Trials whose logs are read, best first: enough to see how they spread, and a bounded page."""
TrialRow = dict[str, float | str]


@dataclass(frozen=True)
class Material:
    """Everything a page tells, as it was found in the store.

    `records` holds each run once, parents before their children. `logs` is by run, trials included; of a
    trial that mixes, it is the log of its fine-tuning. `datasets` is by name and lacks the sets that are no
    longer in the store. `cells` are the finished transfers of the studies among `records`, by run, and
    `ancestors` the finished runs that these rest on.
    """

    asked: tuple[Record, ...]
    records: tuple[Record, ...]
    logs: dict[str, list[Line]]
    datasets: dict[str, DatasetManifest]
    cells: dict[str, Record] = field(default_factory=dict)
    ancestors: dict[str, Record] = field(default_factory=dict)

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
    logs = {run: Run(storage, run).read_log() for run in found}
    for trial in (trial for record in found.values() for trial in best_trials(record)):
        logs[trial] = Run(storage, _trained_in(storage, trial)).read_log()
    names = {name for record in found.values() for name in record.datasets.values()}
    return Material(
        asked=tuple(found[run] for run in dict.fromkeys(runs)),
        records=tuple(found.values()),
        logs={run: lines for run, lines in logs.items() if lines},
        datasets={name: read_dataset(storage, name) for name in sorted(names) if _is_there(storage, name)},
        cells=dict(_finished(storage, found.values(), "cells")),
        ancestors=dict(_finished(storage, found.values(), "ancestors")),
    )


def best_trials(record: Record) -> list[str]:
    """Runs of a search's finished trials, the best first, at most `MAX_TRIAL_LOGS`.

    Of a population those of its last generation: their logs begin with those of the trials that they go on
    from.
    """
    finished = [row for row in last_generation(record.curves.get("trials", [])) if row.get("run")]
    finished.sort(key=lambda row: (-gain_of(record, row), str(row["run"])))
    return [str(row["run"]) for row in finished[:MAX_TRIAL_LOGS]]


def last_generation(trials: Sequence[TrialRow]) -> list[TrialRow]:
    """The trials that are compared in the end: of a population those of its last generation, else all."""
    newest = max((float(row["generation"]) for row in trials if "generation" in row), default=None)
    return [row for row in trials if row.get("generation") == newest]


def gain_of(record: Record, row: Mapping[str, float | str]) -> float:
    """How good a trial of a search is, the larger the better: its score, or what that lacks of a loss."""
    if row["score"] == "":
        return -math.inf
    objectives = record.config.get("objectives", [])
    falls = len(objectives) == 1 and objectives[0].get("direction") == "minimise"
    return -float(row["score"]) if falls else float(row["score"])


def _add_with_parents(storage: Storage, run: str, found: dict[str, Record]) -> None:
    if run in found:
        return
    record = read_record(storage, run) or read_interim(storage, run)
    if record is None:
        raise no_record(storage, run)
    for parent in record.parents.values():
        _add_with_parents(storage, parent, found)
    found[run] = record


def _finished(storage: Storage, records: Iterable[Record], curve: str) -> Iterator[tuple[str, Record]]:
    """The records of the finished runs that studies list in a curve, as far as they are still there."""
    for row in (row for record in records for row in record.curves.get(curve, [])):
        run = str(row["run"])
        record = read_record(storage, run) if row["outcome"] == "finished" else None
        if record is not None:
            yield run, record


def _trained_in(storage: Storage, trial: str) -> str:
    """The run that trained what the trial left: its own, or that of its fine-tuning."""
    record = read_record(storage, trial)
    return trial if record is None else record.parents.get(FINE_TUNED, trial)


def _is_there(storage: Storage, dataset: str) -> bool:
    return read_manifest(storage, f"datasets/{dataset}") is not None
