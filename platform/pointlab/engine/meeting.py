"""A process on each of several nodes, that meet in a process group and add up a number, as training does."""

import contextlib
import os
import socket
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Literal

import ray
import torch
import torch.distributed
from ray.exceptions import GetTimeoutError, RayError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from pointlab.engine.exchange import INTERFACE_VARIABLES, interface_with, use_interface_of_node
from pointlab.engine.failures import brief
from pointlab.engine.room import Node, labels
from pointlab.errors import PointlabError

Backend = Literal["gloo", "nccl"]
VARIABLES: dict[str, str] = dict(zip(("gloo", "nccl"), INTERFACE_VARIABLES, strict=True))


class MeetingError(PointlabError):
    """Processes on several nodes that could not reach each other, or not in time."""


class NotStartedError(PointlabError):
    """Processes that were to meet, one of which has not even begun."""


@dataclass(frozen=True)
class Part:
    """The interface that a process used, and what went wrong; an empty text where nothing did."""

    interface: str
    problem: str


class _Member:
    """One process; `host` is its node's address."""

    def __init__(self, host: str) -> None:
        self._host = host

    def meeting_point(self) -> str:
        """An address at which the others can find this one."""
        with socket.create_server((self._host, 0)) as probe:
            return f"tcp://{self._host}:{probe.getsockname()[1]}"

    def meet(self, point: str, rank: int, size: int, backend: str, seconds: float) -> Part:
        """How this process fared."""
        use_interface_of_node()
        interface = os.environ.get(VARIABLES[backend]) or interface_with(self._host) or "an unknown interface"
        patience = timedelta(seconds=seconds)
        try:
            torch.distributed.init_process_group(
                backend, init_method=point, rank=rank, world_size=size, timeout=patience
            )
            one = torch.ones(1, device="cuda" if backend == "nccl" else "cpu")
            torch.distributed.all_reduce(one)
            return Part(interface, "" if one.item() == size else f"{size} ones made {one.item():g}")
        except RuntimeError as error:  # what gloo and NCCL raise has no other class in common
            return Part(interface, brief(error))
        finally:
            if torch.distributed.is_initialized():
                torch.distributed.destroy_process_group()


def meet(nodes: Sequence[Node], backend: Backend, gpus: float, seconds: float) -> list[str]:
    """The interfaces over which processes on these nodes met, in their order.

    Each process reserves `gpus`, and all are given `seconds` to start and as many to meet. NotStartedError
    where one did not start, MeetingError where they did not meet.
    """
    called = labels({node.node_id: node for node in nodes}.values())
    names = [called[node.node_id] for node in nodes]
    with _members(nodes, gpus) as members:
        point = _started(members, " and ".join(dict.fromkeys(names)), seconds)
        try:
            promises = [
                member.meet.remote(point, rank, len(members), backend, seconds / 2)
                for rank, member in enumerate(members)
            ]
            parts: list[Part] = ray.get(promises, timeout=seconds)
        except GetTimeoutError:
            raise _failure(backend, f"no answer of {' and '.join(names)} within {seconds:g} s") from None
        except RayError as error:
            raise _failure(backend, brief(error)) from None
    problems = [
        f"{name} by {part.interface}: {part.problem}"
        for name, part in zip(names, parts, strict=True)
        if part.problem
    ]
    if problems:
        raise _failure(backend, "; ".join(dict.fromkeys(problems)))
    return [part.interface for part in parts]


def _started(members: Sequence[Any], nodes: str, seconds: float) -> str:
    """Where to meet the first of the processes, once all of them run."""
    try:
        return str(ray.get([member.meeting_point.remote() for member in members], timeout=seconds)[0])
    except GetTimeoutError:
        why = f"within {seconds:g} s"
    except RayError as error:
        why = brief(error)
    raise NotStartedError(
        f"On {nodes} not every process started: {why}.",
        remedy="ask again when other work has ended; look at the logs of these nodes' raylets where there"
        " is none",
    )


@contextlib.contextmanager
def _members(nodes: Sequence[Node], gpus: float) -> Iterator[list[Any]]:
    """An actor on each node, gone after the block."""
    kind = ray.remote(num_cpus=0, num_gpus=gpus)(_Member)
    members = [
        kind.options(scheduling_strategy=NodeAffinitySchedulingStrategy(node.node_id, soft=False)).remote(
            node.address
        )
        for node in nodes
    ]
    try:
        yield members
    finally:
        for member in members:
            ray.kill(member)


def _failure(backend: Backend, why: str) -> MeetingError:
    return MeetingError(
        f"Processes of several nodes did not meet over {backend}: {why}.",
        remedy=f"open all ports between the nodes, and set {VARIABLES[backend]} before `ray start` to the"
        " interface with the node's address",
    )
