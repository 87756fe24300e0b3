"""What a study has to do: what cells start from, each once, then the transfers; what is there is left out."""

import logging
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pointlab.data.dataset import find_prepared
from pointlab.experiment.cells import Cell
from pointlab.experiment.resolve import Resolved
from pointlab.experiment.study import StudyExperiment
from pointlab.experiment.study_runs import make_cell_definite
from pointlab.provenance import code_version
from pointlab.storage import Record, Storage, read_record

logger = logging.getLogger(__name__)
PRETRAINING, EARLIER_TRANSFER = "pretraining", "earlier transfer"
"""What cells start from; no protocol of a study is called by two words."""


@dataclass(frozen=True)
class Step:
    """One experiment to carry out, once its parents are finished."""

    resolved: Resolved[Any]

    @property
    def run(self) -> str:
        """The run that it makes."""
        return self.resolved.run

    @property
    def parents(self) -> tuple[str, ...]:
        """Runs that must be finished before."""
        return tuple(self.resolved.parents.values())


@dataclass(frozen=True)
class Plan:
    """All experiments of a study, by run, parents before their children, and the records that are there."""

    cells: dict[str, Cell]
    """The transfers."""
    steps: dict[str, Step]
    records: dict[str, Record]

    @property
    def missing(self) -> list[Step]:
        """What is to be done: the transfers without a record, and before them all that these need."""
        needed: set[str] = set()
        for run in self.cells:
            self._add_missing(run, needed)
        return [step for run, step in self.steps.items() if run in needed]

    def ancestors(self, run: str) -> list[str]:
        """The runs that this one starts from, and theirs; some perhaps more than once."""
        parents = self.steps[run].parents
        return [*parents, *(each for parent in parents for each in self.ancestors(parent))]

    def kind_of(self, run: str) -> str:
        """What a plan calls it: by the protocol of its cell, or by what it is to the cells that need it."""
        if run in self.cells:
            return self.cells[run].levels.protocol
        is_transfer = self.steps[run].resolved.experiment.kind == "transfer"
        return EARLIER_TRANSFER if is_transfer else PRETRAINING

    def _add_missing(self, run: str, needed: set[str]) -> None:
        """What a finished run has started from may be gone."""
        if run not in self.records:
            needed.add(run)
            for parent in self.steps[run].parents:
                self._add_missing(parent, needed)


def make_plan(study: StudyExperiment, datasets: Mapping[str, str], storage: Storage) -> Plan:
    """The plan of a study on these prepared sets, as far as the store has come with it."""
    ancestors: dict[str, Step] = {}
    transfers: dict[str, Step] = {}
    cells: dict[str, Cell] = {}
    for cell in study.cells:
        *before, transfer = make_cell_definite(cell, datasets)
        transfers[transfer.run], cells[transfer.run] = Step(transfer), cell
        ancestors |= {resolved.run: Step(resolved) for resolved in before}
    steps = ancestors | transfers
    found = {run: read_record(storage, run) for run in steps}
    records = {run: record for run, record in found.items() if record is not None}
    _warn_of_other_code(records)
    return Plan(cells, steps, records)


def _warn_of_other_code(records: Mapping[str, Record]) -> None:
    others = sum(record.code_version != code_version() for record in records.values())
    if others:
        logger.warning(
            "%d of %d finished runs were made by another version of the code (now %s)",
            others,
            len(records),
            code_version(),
        )


@dataclass(frozen=True)
class Extent:
    """How many experiments of some kind there are, and how many of them are finished."""

    total: int
    finished: int


def foresee(study: StudyExperiment, storage: Storage) -> dict[tuple[str, str], dict[str, Extent]]:
    """What is planned and what is there, without making anything: by start and backbone, of each protocol.

    Beside the protocols, EARLIER_TRANSFER counts the transfers that cells start from or mix and that are no
    cells themselves, PRETRAINING all else that they start from. Nothing is finished that needs a set which is
    not prepared.
    """
    found = {role: find_prepared(config, storage) for role, config in study.datasets.items()}
    names = {role: name or f"{role}-missing" for role, name in found.items()}
    plan = make_plan(study, names, storage)
    totals: Counter[tuple[str, str, str]] = Counter()
    finished: Counter[tuple[str, str, str]] = Counter()
    seen: set[str] = set()
    for run, cell in plan.cells.items():
        for each in (run, *plan.ancestors(run)):
            if each not in seen:
                key = (cell.levels.start, cell.levels.backbone, plan.kind_of(each))
                totals[key] += 1
                finished[key] += each in plan.records
                seen.add(each)
    table: dict[tuple[str, str], dict[str, Extent]] = {}
    for (start, backbone, kind), total in totals.items():
        extent = Extent(total, finished[start, backbone, kind])
        table.setdefault((start, backbone), {})[kind] = extent
    return table
