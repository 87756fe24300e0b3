"""A study on Ray: every experiment is a task of its own, which trains in its process as on one worker."""

import contextlib
import threading
from collections.abc import Iterator
from typing import Any

import ray
from ray.exceptions import RayError

from pointlab.engine.room import resources_of_a_worker, tasks_at_a_time
from pointlab.engine.session import connect
from pointlab.experiment.placement import LaunchConfig
from pointlab.experiment.study import StudyExperiment
from pointlab.storage import Record, Storage
from pointlab.study import Crew, Failure, Ledger, Make, Step, attempt

POLL_SECONDS = 0.5
"""Between two looks at whether the study should stop."""
FAREWELL_SECONDS = 10.0
"""For tasks that are cancelled to give back their leases."""


def on_ray(make: Make, study: StudyExperiment, storage: Storage) -> Crew:
    """A crew of as many tasks at a time as there is room for, each with the resources of a worker.

    A task whose process or node is lost is tried again, and goes on from its newest checkpoint.
    """

    def work(ledger: Ledger, stop: threading.Event) -> Iterator[tuple[Step, Record | Failure]]:
        connect()
        limit = tasks_at_a_time(study.launch, "experiment", study.max_concurrent)
        task = _task(study.launch)
        running: dict[Any, Step] = {}
        try:
            while not stop.is_set():
                while len(running) < limit and (step := ledger.take()) is not None:
                    running[task.remote(make, step.resolved, storage)] = step
                if not running:
                    return
                over, _ = ray.wait(list(running), timeout=POLL_SECONDS)
                for reference in over:
                    yield running.pop(reference), _result(reference)
        finally:
            _cancel(list(running))

    return work


def _task(launch: LaunchConfig) -> Any:
    each = resources_of_a_worker(launch)
    resources = {"num_cpus": each["CPU"], "num_gpus": each.get("GPU", 0)}
    return ray.remote(max_retries=launch.max_failures, **resources)(attempt)


def _result(reference: Any) -> Record | Failure:
    """What the task returned; a process that was lost too often counts as a failure of the experiment."""
    try:
        result: Record | Failure = ray.get(reference)
    except RayError as error:
        return Failure(str(error).strip().splitlines()[-1])
    return result


def _cancel(running: list[Any]) -> None:
    for reference in running:
        with contextlib.suppress(RayError):
            ray.cancel(reference)
    if running:
        ray.wait(running, num_returns=len(running), timeout=FAREWELL_SECONDS)
