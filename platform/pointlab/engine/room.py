"""Room for workers: how many the cluster's nodes can hold, told before anything is started.

Ray waits without a word, and for ever, for what no node can give. Training needs its workers and, on one
node, a whole CPU for the data tasks that feed them: fractions left on several nodes do not add up.
"""

import socket
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Literal

import ray
import ray._private.state

from pointlab.errors import ResourceError
from pointlab.experiment.placement import LaunchConfig

Resources = Mapping[str, float]
Standing = Literal["present", "leaving", "silent"]
DATA_CPUS = 1.0
"""Logical CPUs left to data tasks; without any, training would wait for its first batch for ever."""
ANSWER_SECONDS = 2.0
ROUNDING = 1e-4
"""Ray counts resources in steps of this size."""


@dataclass(frozen=True)
class Node:
    """A node: all its resources, and those that nobody holds at present."""

    node_id: str
    address: str
    total: Resources
    free: Resources


def resources_of_a_worker(launch: LaunchConfig) -> dict[str, float]:
    """What every worker reserves."""
    gpus = {"GPU": launch.gpus_per_worker} if launch.gpus_per_worker > 0 else {}
    return {"CPU": launch.cpus_per_worker, **gpus}


def workers_that_fit(nodes: Iterable[Resources], each: Resources, data_cpus: float = DATA_CPUS) -> int:
    """The most workers that these nodes can hold while one of them has `data_cpus` left."""
    nodes = list(nodes)
    with_data = [
        _capacity({**node, "CPU": node.get("CPU", 0) - data_cpus}, each) - _capacity(node, each)
        for node in nodes
        if node.get("CPU", 0) + ROUNDING >= data_cpus
    ]
    if not with_data:
        return 0
    return sum(_capacity(node, each) for node in nodes) + max(with_data)


def _capacity(node: Resources, each: Resources) -> int:
    return min(int((node.get(name, 0) + ROUNDING) / amount) for name, amount in each.items())


def tasks_at_a_time(launch: LaunchConfig, what: str, most: int | None = None) -> int:
    """How many tasks with a worker's resources can run together, at most `most`; ResourceError if none can.

    They read the cache themselves, so no data task needs a CPU beside them. `what` is what a task does.
    """
    each, nodes = resources_of_a_worker(launch), present_nodes()
    fitting = workers_that_fit([node.total for node in nodes], each, data_cpus=0)
    if fitting == 0:
        size = " and ".join(f"{amount:g} {name}s" for name, amount in each.items())
        raise ResourceError(
            f"One {what} needs {size} on one node: {described(nodes, each)}.",
            remedy="lower launch.cpus_per_worker or launch.gpus_per_worker",
        )
    return min(fitting, most or fitting)


def present_nodes() -> list[Node]:
    """The nodes that answer and are not about to leave.

    Ray needs many seconds to notice that a node is gone; until then it would place workers there.
    """
    return nodes_by_standing()["present"]


def nodes_by_standing() -> dict[Standing, list[Node]]:
    """All nodes that Ray takes to be alive: those present, those about to leave, those that do not answer
    this process."""
    leaving = ray._private.state.state.get_draining_nodes()
    free = ray._private.state.available_resources_per_node()
    found: dict[Standing, list[Node]] = {"present": [], "leaving": [], "silent": []}
    alive = [node for node in ray.nodes() if node["Alive"]]
    with ThreadPoolExecutor(max_workers=16) as threads:
        answers = threads.map(_answers, alive)
    for node, does_answer in zip(alive, answers, strict=True):
        name, address = node["NodeID"], node["NodeManagerAddress"]
        standing: Standing = "leaving" if name in leaving else "present" if does_answer else "silent"
        found[standing].append(Node(name, address, node["Resources"], free.get(name, {})))
    return found


def labels(nodes: Iterable[Node]) -> dict[str, str]:
    """What to call each node, by its id: its address, and the beginning of the id where others share that."""
    nodes = list(nodes)
    sharing = Counter(node.address for node in nodes)
    return {
        node.node_id: node.address if sharing[node.address] == 1 else f"{node.address} ({node.node_id[:8]})"
        for node in nodes
    }


def _answers(node: Mapping[str, Any]) -> bool:
    try:
        address = node["NodeManagerAddress"], node["NodeManagerPort"]
        socket.create_connection(address, timeout=ANSWER_SECONDS).close()
    except OSError:
        return False
    return True


def growth() -> dict[str, float]:
    """What the cluster has in all once its autoscaler has added all nodes that it may; empty without one."""
    most = ray._private.state.state.get_max_resources_from_cluster_config() or {}
    return {name: amount for name, amount in most.items() if name in ("CPU", "GPU") and amount > 0}


def described(nodes: Sequence[Node], names: Iterable[str]) -> str:
    """The nodes and what they have, for a message."""
    having = [f"{n.address} has " + " and ".join(f"{n.total.get(r, 0):g} {r}s" for r in names) for n in nodes]
    return "; ".join(having) or "no node answers"
