"""Asking every node the same: a function is carried out once on each, whatever else they are busy with."""

from collections.abc import Callable, Sequence
from typing import TypeVar

import ray
from ray.exceptions import RayError, RayTaskError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from pointlab.engine.room import Node, labels
from pointlab.errors import PointlabError

Answer = TypeVar("Answer")


class UnansweredError(PointlabError):
    """A node that could not carry out what it was asked."""


def on_each_node(
    ask: Callable[[Node], Answer], nodes: Sequence[Node], seconds: float
) -> dict[str, Answer | UnansweredError]:
    """What `ask(node)` returned on each node, by their ids; why there is no answer where there is none.

    All are asked at once and given `seconds`; no resources are needed, so busy nodes answer too.
    """
    task = ray.remote(num_cpus=0, max_retries=0)(_carry_out)
    asked, called = {}, labels(nodes)
    for node in nodes:
        there = NodeAffinitySchedulingStrategy(node.node_id, soft=False)
        asked[node.node_id] = task.options(scheduling_strategy=there).remote(ask, node)
    over, late = ray.wait(list(asked.values()), num_returns=len(asked), timeout=seconds)
    for reference in late:
        ray.cancel(reference, force=True)
    return {
        name: _answer(reference, called[name]) if reference in over else _late(called[name], seconds)
        for name, reference in asked.items()
    }


def _carry_out(ask: Callable[[Node], Answer], node: Node) -> Answer:
    return ask(node)


def _late(node: str, seconds: float) -> UnansweredError:
    return UnansweredError(
        f"{node} did not carry out a task within {seconds:g} s.",
        remedy="look at the logs of its raylet; a runtime environment may still be installing there",
    )


def _answer(reference: "ray.ObjectRef[Answer]", node: str) -> "Answer | UnansweredError":
    try:
        answer: Answer = ray.get(reference)
    except RayTaskError as error:
        return UnansweredError(
            f"{node} cannot carry out pointlab's tasks: {_last_line(error)}.",
            remedy="start every node from the same image, or submit with the working directory",
        )
    except RayError as error:
        return UnansweredError(
            f"{node} could not be asked: {_last_line(error)}.",
            remedy="look at the logs of its raylet, and take the node out or start it again",
        )
    return answer


def _last_line(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return (lines[-1] if lines else type(error).__name__)[:300].rstrip(".")
