"""A study is carried out step by step, by whatever crew; a step that fails is noted, and the rest goes on."""

import logging
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from pointlab.errors import PointlabError, PreemptedError, TrainingError
from pointlab.experiment.resolve import Findings, Resolved
from pointlab.experiment.study import StudyExperiment
from pointlab.storage import Record, Storage
from pointlab.study.interim import write_interim
from pointlab.study.planning import Plan, Step, make_plan
from pointlab.study.tables import findings_of_cells
from pointlab.training import Watcher

logger = logging.getLogger(__name__)
Make = Callable[[Resolved[Any], Storage, threading.Event], Record]
"""Carries one experiment out, whose sets and parents are there; the event asks it to save and end."""
WHAT_FAILED = {"teacher": "teacher", "transfer": "earlier transfer"}
"""What else than a pretraining others start from, by its kind."""


@dataclass(frozen=True)
class Failure:
    """Why a step came to nothing, in words."""

    error: str
    may_pass: bool = False
    """Whether the same step may succeed when it is tried again: its node left, or the store was away."""


class Ledger:
    """What is still to be done, under way, finished or failed."""

    def __init__(self, plan: Plan, max_failures: int = 0) -> None:
        """Begin with what the store has; a step is tried again after so many failures that may pass."""
        self.plan, self.max_failures = plan, max_failures
        self.records = dict(plan.records)
        self.errors: dict[str, str] = {}
        self._waiting = {step.run: step for step in plan.missing}
        self._passed: Counter[str] = Counter()

    def take(self) -> Step | None:
        """The next step whose parents are finished, now under way; None if there is none at present."""
        ready = (step for step in self._waiting.values() if all(run in self.records for run in step.parents))
        step = next(ready, None)
        return None if step is None else self._waiting.pop(step.run)

    def note(self, step: Step, result: Record | Failure) -> None:
        """Enter what came of a step; what depends on one that failed has failed with it."""
        if isinstance(result, Record):
            self.records[step.run] = result
            return
        if result.may_pass and self._passed[step.run] < self.max_failures:
            self._passed[step.run] += 1
            self._waiting[step.run] = step
            told = (step.run, result.error, self._passed[step.run], self.max_failures)
            logger.warning("%s: %s; it will be tried again (failure %d of at most %d)", *told)
            return
        logger.warning("%s failed: %s", step.run, result.error)
        self.errors[step.run] = result.error
        what = WHAT_FAILED.get(step.resolved.experiment.kind, "pretraining")
        self._give_up_after(step.run, f"its {what} {step.run} failed: {result.error}")

    def _give_up_after(self, run: str, why: str) -> None:
        """Enter that all which starts from this run has failed, at whatever depth."""
        for child in [child for child in self._waiting.values() if run in child.parents]:
            if self._waiting.pop(child.run, None) is not None:
                self.errors[child.run] = why
                self._give_up_after(child.run, why)

    @property
    def failed_cells(self) -> list[str]:
        """Transfers that failed, in their order."""
        return [run for run in self.plan.cells if run in self.errors]

    @property
    def total(self) -> int:
        """All experiments, those that were finished before with them."""
        return len(self.plan.records) + len(self.plan.missing)

    @property
    def num_over(self) -> int:
        """Experiments that are finished or failed."""
        return len(self.records) + len(self.errors)


Crew = Callable[[Ledger, threading.Event], Iterator[tuple[Step, Record | Failure]]]
"""Takes steps from a ledger until there are none, or until it should stop, and yields what came of each."""


def alone(make: Make, storage: Storage) -> Crew:
    """A crew of one, this process."""

    def work(ledger: Ledger, stop: threading.Event) -> Iterator[tuple[Step, Record | Failure]]:
        while not stop.is_set() and (step := ledger.take()) is not None:
            try:
                yield step, attempt(make, step.resolved, storage, stop)
            except PreemptedError:  # the step heard of it before the study did
                stop.set()

    return work


def attempt(make: Make, resolved: Resolved[Any], storage: Storage, stop: threading.Event) -> Record | Failure:
    """What came of one experiment; only being asked to end is raised."""
    try:
        return make(resolved, storage, stop)
    except PreemptedError:
        raise
    except PointlabError as error:
        return Failure(str(error), error.is_transient)
    except Exception as error:  # a defect in one cell is no reason to lose the others
        logger.exception("%s ended with a defect", resolved.run)
        return Failure(f"{type(error).__name__}: {error}")


def conduct(
    resolved: Resolved[StudyExperiment],
    storage: Storage,
    watcher: Watcher,
    crew: Crew,
    stop: threading.Event,
) -> Findings:
    """Carry out what is missing and tabulate all; finished cells stay, whatever happens.

    Raises PreemptedError where it was asked to stop, and TrainingError where cells failed: a study is sealed
    by its record only when it is whole, so the next run tries them again.
    """
    plan = make_plan(resolved.experiment, resolved.datasets, storage)
    ledger = Ledger(plan, resolved.experiment.launch.max_failures)
    started, told = time.monotonic(), (resolved.run, len(plan.cells), len(plan.missing))
    logger.info("%s: %d cells, %d experiments to carry out", *told)
    watcher(resolved.run, ledger.num_over, ledger.total, {})
    for step, result in crew(ledger, stop):
        ledger.note(step, result)
        _tell(resolved, storage, ledger, time.monotonic() - started)
        watcher(resolved.run, ledger.num_over, ledger.total, {"failed": float(len(ledger.failed_cells))})
    if ledger.num_over < ledger.total:
        raise PreemptedError(
            f"The study {resolved.run} was asked to end; {ledger.num_over} of its {ledger.total} experiments"
            " are over.",
            remedy="run it again: what is finished stays",
        )
    if ledger.failed_cells:
        raise _failed(resolved.run, ledger)
    return findings_of_cells(resolved.experiment, plan, ledger.records, ledger.errors)


def _tell(resolved: Resolved[StudyExperiment], storage: Storage, ledger: Ledger, seconds: float) -> None:
    findings = findings_of_cells(resolved.experiment, ledger.plan, ledger.records, ledger.errors)
    write_interim(storage, resolved, findings, seconds)


def _failed(run: str, ledger: Ledger) -> TrainingError:
    first = ledger.failed_cells[0]
    return TrainingError(
        f"{len(ledger.failed_cells)} of the {len(ledger.plan.cells)} cells of {run} failed, first {first}:"
        f" {ledger.errors[first]}",
        expected="a study whose cells all come to their end",
        remedy=f"see what there is with pointlab report {run}, mend it, and run the study again: it tries"
        " these cells again and keeps the others",
    )
