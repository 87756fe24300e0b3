"""How many trials fit on the cluster together; one that could never start is refused with the number that
would.

A trial on one worker is one process. One on several holds nothing itself while its workers train: those need
room, and beside them a CPU for the data tasks that feed them, or trials would wait for each other for ever.
"""

from collections.abc import Sequence

from ray import tune

from pointlab.engine.room import (
    DATA_CPUS,
    Node,
    Resources,
    described,
    present_nodes,
    resources_of_a_worker,
    tasks_at_a_time,
    workers_that_fit,
)
from pointlab.errors import ResourceError
from pointlab.experiment.placement import LaunchConfig
from pointlab.experiment.search import SearchExperiment

HEAD = "node:__internal_head__"
"""A resource that Ray gives to the cluster's head node, one of it."""
HELD_BY_A_TRIAL = 0.001
"""Of that, for the process that looks after workers: it needs to be somewhere, and takes no CPU from them."""


def trials_at_a_time(search: SearchExperiment) -> int:
    """How many trials can run together; ResourceError if not even one can."""
    launch, most = search.launch, min(search.total, search.max_concurrent or search.total)
    if launch.fewest_workers == 1:
        return tasks_at_a_time(launch, "trial", most)
    nodes = present_nodes()
    fitting = groups_that_fit([node.total for node in nodes], resources_of_a_worker(launch), launch, most)
    if fitting == 0:
        raise _no_room(launch, nodes)
    return fitting


def groups_that_fit(nodes: Sequence[Resources], each: Resources, launch: LaunchConfig, most: int) -> int:
    """The most groups of workers, up to `most`, that the nodes hold with a data CPU for every group."""
    data = {"CPU": DATA_CPUS}
    fitting = 0
    while fitting < most and _hold(nodes, each, data, launch.fewest_workers, fitting + 1):
        fitting += 1
    return fitting


def _hold(nodes: Sequence[Resources], each: Resources, data: Resources, size: int, groups: int) -> bool:
    """Whether so many groups fit: data CPUs are placed one by one where they cost the fewest workers."""
    free = [dict(node) for node in nodes]
    for _ in range(groups):
        losses = [
            (workers_that_fit([node], each, 0) - workers_that_fit([_less(node, data)], each, 0), place)
            for place, node in enumerate(free)
            if workers_that_fit([node], data, 0)
        ]
        if not losses:
            return False
        place = min(losses)[1]
        free[place] = _less(free[place], data)
    return workers_that_fit(free, each, 0) >= groups * size


def _less(node: Resources, taken: Resources) -> dict[str, float]:
    return {name: amount - taken.get(name, 0) for name, amount in node.items()}


def _no_room(launch: LaunchConfig, nodes: Sequence[Node]) -> ResourceError:
    each = resources_of_a_worker(launch)
    fitting = workers_that_fit([node.total for node in nodes], each)
    size = " and ".join(f"{amount:g} {name}s" for name, amount in each.items())
    advice = f"set launch.num_workers={fitting}, the most that fits, or" if fitting else "add a node, or"
    return ResourceError(
        f"One trial on {launch.fewest_workers} workers x {size} needs"
        f" {each['CPU'] * launch.fewest_workers + DATA_CPUS:g} CPUs, {DATA_CPUS:g} of them whole on one node"
        f" for data tasks: {described(nodes, each)}.",
        remedy=f"{advice} lower launch.cpus_per_worker or gpus_per_worker",
    )


def resources_of_a_trial(launch: LaunchConfig) -> dict[str, float] | tune.PlacementGroupFactory:
    """What Tune reserves for the process of a trial."""
    if launch.fewest_workers == 1:
        return resources_of_a_worker(launch)
    return tune.PlacementGroupFactory([{HEAD: HELD_BY_A_TRIAL}])
