"""How many worker pods an experiment needs: the smallest number of equal nodes that hold it.

By the engine's rules of room: training needs its workers and, on one node, a whole CPU for the data tasks
that feed them; a trial or an experiment of a study on one worker is one process, which feeds itself.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from pointlab.errors import ResourceError
from pointlab.experiment import Experiment, LaunchConfig, PrepareExperiment, SearchExperiment, StudyExperiment
from pointlab.experiment.lineage import parents_of, placed_by
from pointlab.kuberay.settings import NodeShape

DATA_CPUS = 1
"""As the engine leaves to data tasks."""
AT_A_TIME = 4
"""Trials or experiments side by side where the config leaves it to the cluster, which is yet to be sized: a
quarter of the time at the same price."""
NODES_OF_A_PREPARATION = 4
"""To which Ray Data may let a preparation grow: shards are independent, the source's disk is one."""


@dataclass(frozen=True)
class Size:
    """Between how many nodes a cluster may have; those it starts with are the fewest."""

    fewest: int
    most: int
    node: NodeShape


def size_of(experiment: Experiment, node: NodeShape) -> Size:
    """The cluster that `experiment` and what it starts from need, one after the other.

    What of it is finished already is only known where the store is; so the largest part counts. One process
    that makes a part of it on Ray first has a node beside the workers'. ResourceError where a worker does not
    fit on such a node.
    """
    parts = [experiment, *made_first(experiment)]
    gpus = max(_gpus(part.launch, node) for part in parts)
    node = node.model_copy(update={"gpus": gpus})
    sizes = [_own_size(part, node) for part in parts]
    beside = int(experiment.launch.kind == "local" and any(part.launch.kind == "ray" for part in parts))
    return Size(max(size.fewest for size in sizes) + beside, max(size.most for size in sizes) + beside, node)


def made_first(experiment: Any) -> Iterator[Any]:
    """The runs that `experiment` starts from, to any depth, each with the launch that it would have."""
    for parent in parents_of(experiment).values():
        placed = placed_by(experiment, parent)
        yield placed
        yield from made_first(placed)


def _own_size(experiment: Any, node: NodeShape) -> Size:
    launch = experiment.launch
    _require_fitting(launch, node)
    if launch.kind == "local":
        return Size(1, 1, node)
    if isinstance(experiment, PrepareExperiment):
        return Size(1, NODES_OF_A_PREPARATION, node)
    if isinstance(experiment, SearchExperiment | StudyExperiment):
        groups, workers = at_a_time(experiment), launch.fewest_workers
        nodes = _nodes(groups * workers, 0 if workers == 1 else groups * DATA_CPUS, launch, node)
        return Size(nodes, nodes, node)
    fewest, most = (
        _nodes(workers, DATA_CPUS, launch, node) for workers in (launch.fewest_workers, launch.most_workers)
    )
    return Size(fewest, most, node)


def at_a_time(experiment: SearchExperiment | StudyExperiment) -> int:
    """Trials or experiments for which there is to be room together."""
    total = experiment.total if isinstance(experiment, SearchExperiment) else len(experiment.cells)
    return min(total, experiment.max_concurrent or AT_A_TIME)


def _gpus(launch: LaunchConfig, node: NodeShape) -> int:
    return math.ceil(launch.gpus_per_worker) if node.gpus is None else node.gpus


def _nodes(workers: int, data: int, launch: LaunchConfig, node: NodeShape) -> int:
    """The fewest nodes that hold so many workers and CPUs for data tasks."""
    count = 1
    while _held(count, data, launch, node) < workers:
        count += 1
    return count


def _held(count: int, data: int, launch: LaunchConfig, node: NodeShape) -> int:
    """Workers that so many nodes hold when the data CPUs are spread evenly over them."""
    shares = [data // count + (place < data % count) for place in range(count)]
    if max(shares) > node.cpus:
        return 0
    return sum(_capacity(launch, node, share) for share in shares)


def _capacity(launch: LaunchConfig, node: NodeShape, taken: int = 0) -> int:
    """Workers on one node of which so many CPUs are taken."""
    by_cpus = int((node.cpus - taken) / launch.cpus_per_worker)
    by_gpus = int((node.gpus or 0) / launch.gpus_per_worker) if launch.gpus_per_worker else by_cpus
    return min(by_cpus, by_gpus)


def _require_fitting(launch: LaunchConfig, node: NodeShape) -> None:
    if _capacity(launch, node) > 0:
        return
    raise ResourceError(
        f"One worker needs {launch.cpus_per_worker:g} CPUs and {launch.gpus_per_worker:g} GPUs; a node is to"
        f" have {node.cpus} and {node.gpus}.",
        expected="a worker that fits on one node",
        remedy=f"give --node-cpus {math.ceil(launch.cpus_per_worker) + DATA_CPUS} and --node-gpus"
        f" {math.ceil(launch.gpus_per_worker)} or more, or lower launch.cpus_per_worker or gpus_per_worker",
    )
