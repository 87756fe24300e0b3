"""Whether the cluster has room for what an experiment asks, and for how much of it at a time."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from pointlab.doctor.finding import Finding, of_error, passed, warned
from pointlab.engine.jobs.job import is_job
from pointlab.errors import ResourceError
from pointlab.experiment import SearchExperiment, StudyExperiment


@dataclass(frozen=True)
class Resources:
    """That workers, trials or the runs of a study fit on the nodes as they stand, and now."""

    experiment: Any
    name: str = "resources"
    seconds: float = 60.0

    def run(self) -> Iterator[Finding]:
        """How many fit at a time, or the numbers that would."""
        from pointlab.engine.room import growth

        try:
            yield from self._fitting()
        except ResourceError as error:
            if more := growth():
                limits = " and ".join(f"{amount:g} {name}s" for name, amount in more.items())
                yield warned(
                    f"{error.found} An autoscaler may add nodes, up to {limits}.",
                    f"where these have the room, set launch.wait_for_nodes to what they take to start; else"
                    f" {error.remedy}",
                )
            else:
                yield of_error(error)

    def _fitting(self) -> Iterator[Finding]:
        launch = self.experiment.launch
        if launch.kind == "local" and not is_job():
            yield passed("launch.kind is local: one process, whatever the cluster has")
        elif launch.kind == "local":
            from pointlab.engine.room import tasks_at_a_time

            tasks_at_a_time(launch, "job", most=1)
            yield passed("launch.kind is local: a node has what the job reserves for its one process")
        elif isinstance(self.experiment, SearchExperiment):
            from pointlab.engine.search import trials_at_a_time

            fitting = trials_at_a_time(self.experiment)
            yield passed(f"{fitting} of {self.experiment.total} trials at a time")
        elif isinstance(self.experiment, StudyExperiment):
            from pointlab.engine.room import tasks_at_a_time

            fitting = tasks_at_a_time(launch, "experiment", self.experiment.max_concurrent)
            yield passed(f"{fitting} runs at a time")
        else:
            from pointlab.engine.waiting import workers_possible

            possible, free = workers_possible(launch)
            if free < launch.fewest_workers:
                yield warned(
                    f"{possible} workers fit, but other work leaves room for {free} at present.",
                    f"it will wait for room, up to launch.wait_for_nodes ({launch.wait_for_nodes:g} s)",
                )
            else:
                yield passed(f"{possible} of at most {launch.most_workers} workers fit, {free} of them now")
