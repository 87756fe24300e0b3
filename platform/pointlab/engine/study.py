"""A study on Ray: every experiment is a task of its own, which trains in its process as on one worker."""

import contextlib
import logging
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import ray
from ray.exceptions import RayError, RayTaskError

from pointlab.engine.progress import StopQuestion, relayed
from pointlab.engine.room import resources_of_a_worker, tasks_at_a_time
from pointlab.engine.session import connect
from pointlab.errors import PreemptedError, ResourceError
from pointlab.experiment.placement import LaunchConfig
from pointlab.experiment.resolve import Resolved
from pointlab.experiment.study import StudyExperiment
from pointlab.provenance import code_version
from pointlab.storage import Record, Storage
from pointlab.study import Crew, Failure, Ledger, Make, Step, attempt
from pointlab.training import ignore_progress
from pointlab.training.step_cost import StepCost

logger = logging.getLogger(__name__)
POLL_SECONDS = 0.5
"""Between two looks at whether the study should stop."""
LOOK_SECONDS = 30.0
"""Between two looks at how many tasks the cluster has room for: nodes come and go in minutes."""
GRACE_SECONDS = 30.0
"""For tasks that are asked to end to save what they have; a scheduler gives as long before it kills."""
FAREWELL_SECONDS = 10.0
"""For tasks that are cancelled to give back their leases."""


def on_ray(make: Make, study: StudyExperiment, storage: Storage) -> Crew:
    """A crew of as many tasks at a time as there is room for, each with the resources of a worker.

    A task whose process or node is lost is handed back to the ledger, which has it tried again; it goes on
    from its newest checkpoint. Those at work when the study should stop are asked to save and end.
    """

    def work(ledger: Ledger, stop: threading.Event) -> Iterator[tuple[Step, Record | Failure]]:
        connect()
        with relayed(ignore_progress, lambda _: stop.is_set()) as board:
            yield from _Tasks(make, study, storage, board).work(ledger, stop)

    return work


def measured_on_ray(
    measure: Callable[[Resolved[Any], Storage], StepCost],
    launch: LaunchConfig,
    resolved: Resolved[Any],
    storage: Storage,
) -> StepCost:
    """What a step takes where the study's experiments train, with the resources of one of them."""
    connect()
    try:
        found: StepCost = ray.get(_task(launch, measure).remote(resolved, storage))
    except RayTaskError as error:
        raise error.cause from error
    return found


class _Tasks:
    """The tasks at work, and what starts and ends them."""

    def __init__(self, make: Make, study: StudyExperiment, storage: Storage, board: Any) -> None:
        self.study, self.task = study, _task(study.launch, carry_out)
        self.common = (make, storage, board, code_version())
        self.running: dict[Any, Step] = {}
        self._limit, self._next_look = 0, 0.0

    def work(self, ledger: Ledger, stop: threading.Event) -> Iterator[tuple[Step, Record | Failure]]:
        """What came of each step, until there is none or until it should stop."""
        try:
            while not stop.is_set():
                self._start(ledger)
                if not self.running:
                    return
                yield from self._over()
            yield from self._last_words(time.monotonic() + GRACE_SECONDS)
        finally:
            _cancel(list(self.running))

    def _start(self, ledger: Ledger) -> None:
        """Fill what room there is."""
        while len(self.running) < self._room() and (step := ledger.take()) is not None:
            self.running[self.task.remote(step.resolved, *self.common)] = step

    def _room(self) -> int:
        """How many tasks there is room for; while all nodes are gone for a moment, what there was before."""
        if time.monotonic() >= self._next_look:
            try:
                self._limit = tasks_at_a_time(self.study.launch, "experiment", self.study.max_concurrent)
            except ResourceError as error:
                if self._limit == 0:
                    raise
                logger.warning("%s Experiments wait for a node", error.found)
            self._next_look = time.monotonic() + LOOK_SECONDS
        return self._limit

    def _over(self) -> Iterator[tuple[Step, Record | Failure]]:
        """What has come to an end."""
        references, _ = ray.wait(list(self.running), timeout=POLL_SECONDS)
        for reference in references:
            yield self.running.pop(reference), _result(reference)

    def _last_words(self, deadline: float) -> Iterator[tuple[Step, Record | Failure]]:
        """What still comes to its end; what has saved and left, or is late, goes on in the next run."""
        if self.running:
            logger.info("%d experiments are asked to save and end", len(self.running))
        while self.running and time.monotonic() < deadline:
            yield from ((step, result) for step, result in self._over() if isinstance(result, Record))


def _task(launch: LaunchConfig, work: Callable[..., Any]) -> Any:
    """Ray does not try it again: the ledger does, which tells a lost node from a mistake."""
    each = resources_of_a_worker(launch)
    resources = {"num_cpus": each["CPU"], "num_gpus": each.get("GPU", 0)}
    return ray.remote(max_retries=0, **resources)(work)


def carry_out(
    resolved: Resolved[Any], make: Make, storage: Storage, board: Any, code: str
) -> Record | Failure:
    """What came of one experiment in a task's process, which ends early when the board says so."""
    if code_version() != code:
        return Failure(
            f"This node's code is {code_version()}, the study's is {code}: one study is not mixed from two."
            " What to do: leave the code alone while a study runs; run it again to go on with the new code."
        )
    try:
        with _asked_by(board) as stop:
            return attempt(make, resolved, storage, stop)
    except PreemptedError as error:
        return Failure(str(error), may_pass=True)


@contextlib.contextmanager
def _asked_by(board: Any) -> Iterator[threading.Event]:
    """An event that is set when the board wants its group to end."""
    question, stop, is_over = StopQuestion(board), threading.Event(), threading.Event()

    def poll() -> None:
        while not stop.is_set() and not is_over.wait(POLL_SECONDS):
            if question():
                stop.set()

    thread = threading.Thread(target=poll, daemon=True)
    thread.start()
    try:
        yield stop
    finally:
        is_over.set()
        thread.join()


def _result(reference: Any) -> Record | Failure:
    """What the task returned; a process or node that was lost may come back."""
    try:
        result: Record | Failure = ray.get(reference)
    except RayTaskError as error:  # not of the experiment, whose errors are results: of the task around it
        return Failure(f"{type(error.cause).__name__}: {error.cause}")
    except RayError as error:
        return Failure(f"{type(error).__name__}: {_first_line(error)}", may_pass=True)
    return result


def _first_line(error: RayError) -> str:
    """Ray says what happened first, and where to look for logs afterwards."""
    lines = (line.strip() for line in str(error).splitlines())
    return next((line for line in lines if line), "no details")


def _cancel(running: list[Any]) -> None:
    for reference in running:
        with contextlib.suppress(RayError):
            ray.cancel(reference)
    if running:
        ray.wait(running, num_returns=len(running), timeout=FAREWELL_SECONDS)
