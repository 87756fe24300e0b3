"""The exchange between workers: processes on all nodes meet and add up a number, before training has to."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from pointlab.doctor.finding import Finding, of_error, passed, skipped
from pointlab.errors import PointlabError
from pointlab.experiment import LaunchConfig

if TYPE_CHECKING:
    from pointlab.engine.room import Node

MEETING_SECONDS = 60.0
"""For processes to start, import torch and find each other."""


@dataclass(frozen=True)
class Exchange:
    """An all-reduce over gloo between nodes that can hold a worker, and over NCCL where workers have GPUs."""

    launch: LaunchConfig
    name: str = "exchange"
    seconds: float = 2 * MEETING_SECONDS + 30.0

    def run(self) -> Iterator[Finding]:
        """The interface that was used on each node, or why they did not meet."""
        from pointlab.engine.room import present_nodes, resources_of_a_worker, workers_that_fit

        each = resources_of_a_worker(self.launch)
        nodes = [node for node in present_nodes() if workers_that_fit([node.total], each, data_cpus=0)]
        if len(nodes) == 1 and self.launch.most_workers > 1:
            nodes *= 2
        if len(nodes) < 2:
            yield skipped("There are no two workers, so there is nothing to exchange.")
            return
        yield from _met(nodes, "gloo", 0)
        if self.launch.gpus_per_worker > 0:
            yield from _met(nodes, "nccl", self.launch.gpus_per_worker)


def _met(nodes: "list[Node]", backend: Literal["gloo", "nccl"], gpus: float) -> Iterator[Finding]:
    from pointlab.engine.meeting import meet

    check = f"exchange over {backend}"
    try:
        interfaces = meet(nodes, backend, gpus, MEETING_SECONDS)
    except PointlabError as error:
        yield of_error(error, check)
        return
    used = ", ".join(f"{address} by {interface}" for address, interface in interfaces.items())
    yield passed(f"{len(nodes)} processes added up a number: {used}", check)
