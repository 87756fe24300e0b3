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
from pointlab.engine.room import Node
from pointlab.errors import PointlabError

Backend = Literal["gloo", "nccl"]
VARIABLES: dict[str, str] = dict(zip(("gloo", "nccl"), INTERFACE_VARIABLES, strict=True))


class MeetingError(PointlabError):
    """Processes on several nodes that could not reach each other, or not in time."""


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


def meet(nodes: Sequence[Node], backend: Backend, gpus: float, seconds: float) -> dict[str, str]:
    """The interfaces over which processes on these nodes met, by the nodes' addresses.

    Raises MeetingError where they did not, or not within `seconds`.
    """
    with _members(nodes, gpus) as members:
        try:
            point = ray.get(members[0].meeting_point.remote(), timeout=seconds)
            promises = [
                member.meet.remote(point, rank, len(members), backend, seconds / 2)
                for rank, member in enumerate(members)
            ]
            parts: list[Part] = ray.get(promises, timeout=seconds)
        except GetTimeoutError:
            addresses = " and ".join(node.address for node in nodes)
            raise _failure(backend, f"no answer of {addresses} within {seconds:g} s") from None
        except RayError as error:
            raise _failure(backend, brief(error)) from None
    told = {
        f"{node.address} by {part.interface}": part.problem for node, part in zip(nodes, parts, strict=True)
    }
    if problems := [f"{who}: {problem}" for who, problem in told.items() if problem]:
        raise _failure(backend, "; ".join(problems))
    return {node.address: part.interface for node, part in zip(nodes, parts, strict=True)}


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
