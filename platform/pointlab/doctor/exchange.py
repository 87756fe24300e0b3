"""The exchange between workers: processes on all nodes meet and add up a number, before training has to."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from pointlab.doctor.finding import Finding, of_error, passed, skipped
from pointlab.errors import PointlabError
from pointlab.experiment import LaunchConfig

if TYPE_CHECKING:
    from pointlab.engine.room import Node

MEETING_SECONDS = 60.0
"""For processes to start and import torch, and as many to find each other."""


@dataclass(frozen=True)
class Exchange:
    """An all-reduce over gloo between nodes that can hold a worker, and over NCCL where workers have GPUs."""

    launch: LaunchConfig
    name: str = "exchange"
    seconds: float = 2 * 2 * MEETING_SECONDS + 30.0

    def run(self) -> Iterator[Finding]:
        """The interface that was used on each node, or why they did not meet."""
        from pointlab.engine.room import present_nodes, resources_of_a_worker, workers_that_fit

        each, most = resources_of_a_worker(self.launch), self.launch.most_workers

        def room(node: "Node") -> int:
            return workers_that_fit([node.total], each, data_cpus=0)

        nodes = list(filter(room, present_nodes()))
        able = places(nodes, room, most)
        if not able:
            yield skipped("There are no two workers, so there is nothing to exchange.")
            return
        yield _met(able, "gloo", 0)
        if self.launch.gpus_per_worker > 0:
            yield from _met_with_gpus(nodes, self.launch)


def places(nodes: "Sequence[Node]", room: "Callable[[Node], int]", most: int) -> "list[Node]":
    """Where processes are to meet: every node with `room` for one, and one alone twice if it has room for two
    and there are to be as many; none where there are no two processes."""
    able = [node for node in nodes if room(node)]
    if len(able) == 1 and most > 1 and room(able[0]) > 1:
        able *= 2
    return able if len(able) > 1 else []


def _met_with_gpus(nodes: "Sequence[Node]", launch: LaunchConfig) -> Iterator[Finding]:
    """What can be told over NCCL with the GPUs that nobody holds: a process would wait for any other."""
    from pointlab.engine.room import workers_that_fit

    gpus, check = launch.gpus_per_worker, "exchange over nccl"
    idle = places(
        nodes,
        lambda node: workers_that_fit([node.free], {"GPU": gpus}, data_cpus=0),
        launch.most_workers,
    )
    if held := [node.address for node in nodes if node not in idle]:
        yield skipped(f"Other work holds the GPUs of {', '.join(held)}, which could not be asked.", check)
    if idle:
        yield _met(idle, "nccl", gpus)


def _met(nodes: "list[Node]", backend: Literal["gloo", "nccl"], gpus: float) -> Finding:
    from pointlab.engine.meeting import NotStartedError, meet

    check = f"exchange over {backend}"
    try:
        interfaces = meet(nodes, backend, gpus, MEETING_SECONDS)
    except NotStartedError as error:
        return skipped(error.found, check) if gpus else of_error(error, check)
    except PointlabError as error:
        return of_error(error, check)
    used = [f"{node.address} by {interface}" for node, interface in zip(nodes, interfaces, strict=True)]
    return passed(f"{len(nodes)} processes added up a number: {', '.join(dict.fromkeys(used))}", check)
