"""Waiting for room where a cluster may get more of it, and refusing, with the numbers, where it cannot."""

import contextlib
import logging
import threading
import time
from collections.abc import Iterator, Sequence

from ray.util import placement_group, placement_group_table, remove_placement_group

from pointlab.engine.room import (
    DATA_CPUS,
    Node,
    described,
    present_nodes,
    resources_of_a_worker,
    workers_that_fit,
)
from pointlab.engine.session import is_joined
from pointlab.errors import PreemptedError, ResourceError
from pointlab.experiment.placement import LaunchConfig

logger = logging.getLogger(__name__)
POLL_SECONDS = 0.2
TOLD_AFTER = 2.0
SETTLE_SECONDS = 5.0
"""How long what ended may take to give back what it held, before it counts as held."""


def find_room(launch: LaunchConfig, stop: threading.Event) -> int:
    """Number of workers to start now, between the fewest and the most that `launch` allows.

    Raises ResourceError with the numbers that fit: at once on this machine alone, which never grows, and
    after `launch.wait_for_nodes` seconds on a cluster. Raises PreemptedError where `stop` is set meanwhile.
    """
    started, is_told = time.monotonic(), False
    with contextlib.ExitStack() as waiting:
        while True:
            nodes = present_nodes()
            possible, free = _sizes(launch, nodes)
            waited = time.monotonic() - started
            if free >= launch.fewest_workers and (free >= possible or waited >= SETTLE_SECONDS):
                return free
            is_too_small = possible < launch.fewest_workers
            if (is_too_small and not is_joined()) or waited >= max(launch.wait_for_nodes, SETTLE_SECONDS):
                raise _no_room(launch, nodes, is_too_small, waited)
            if waited >= TOLD_AFTER and not is_told:
                is_told = True
                reason = _lack(launch, nodes, is_too_small)
                logger.warning("%s Waiting for room, up to %g s", reason, launch.wait_for_nodes)
                demand = waiting.enter_context(_demanded(launch)) if is_too_small else None
            if is_told and demand is not None and placement_group_table(demand)["state"] == "CREATED":
                return launch.fewest_workers
            if stop.wait(POLL_SECONDS if waited < TOLD_AFTER else 1.0):
                raise PreemptedError(
                    "The run was asked to end while it waited for room.", remedy="run it again later"
                )


def workers_possible(launch: LaunchConfig) -> tuple[int, int]:
    """How many workers the cluster can hold, and how many beside what it holds now; ResourceError, with the
    numbers that fit, where it can never hold the fewest.

    What ended a moment ago may hold its room for `SETTLE_SECONDS` yet: as long the answer takes where too few
    would fit.
    """
    started = time.monotonic()
    while True:
        nodes = present_nodes()
        possible, free = _sizes(launch, nodes)
        if possible < launch.fewest_workers:
            raise _no_room(launch, nodes, is_too_small=True, waited=0)
        if free >= launch.fewest_workers or time.monotonic() - started >= SETTLE_SECONDS:
            return possible, free
        time.sleep(POLL_SECONDS)


def _sizes(launch: LaunchConfig, nodes: Sequence[Node]) -> tuple[int, int]:
    """How many workers could ever run on these nodes, and how many on what is free of them."""
    each = resources_of_a_worker(launch)
    possible = workers_that_fit([node.total for node in nodes], each)
    free = workers_that_fit([node.free for node in nodes], each)
    return min(possible, launch.most_workers), min(free, launch.most_workers)


@contextlib.contextmanager
def _demanded(launch: LaunchConfig) -> Iterator[object]:
    """A reservation that waits while the block runs: what an autoscaler looks at to add a node."""
    each = resources_of_a_worker(launch)
    group = placement_group([each] * launch.fewest_workers + [{"CPU": DATA_CPUS}])
    try:
        yield group
    finally:
        remove_placement_group(group)


def _no_room(launch: LaunchConfig, nodes: Sequence[Node], is_too_small: bool, waited: float) -> ResourceError:
    fitting = workers_that_fit([node.total for node in nodes], resources_of_a_worker(launch))
    advice = f"set launch.num_workers={fitting}, the most that fits" if fitting else "add a node"
    if not is_too_small:
        advice = "wait until other work has ended"
    return ResourceError(
        _lack(launch, nodes, is_too_small) + (f" So it was for {waited:.0f} seconds." if waited > 1 else ""),
        remedy=f"{advice}, lower launch.cpus_per_worker or gpus_per_worker, or set launch.kind=local",
    )


def _lack(launch: LaunchConfig, nodes: Sequence[Node], is_too_small: bool) -> str:
    each, fewest = resources_of_a_worker(launch), launch.fewest_workers
    size = " and ".join(f"{amount:g} {name}s" for name, amount in each.items())
    cpus = each["CPU"] * fewest + DATA_CPUS
    found = described(nodes, each) if is_too_small else "other work holds what there is"
    return (
        f"Training on {fewest} workers x {size} needs {cpus:g} CPUs, {DATA_CPUS:g} of them whole on one node"
        f" for data tasks: {found}."
    )
