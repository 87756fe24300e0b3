"""Workers for tests: processes of this machine that meet in a new gloo group for every job.

Starting a process takes seconds of imports, so they are kept from one job to the next. A job that fails or
hangs takes all of them with it.
"""

import atexit
import multiprocessing
import os
import sys
import tempfile
import traceback
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any
from uuid import uuid4

import torch
import torch.distributed as dist

PATIENCE = 300
"""Seconds for a job."""


def meeting_place() -> str:
    """A file that does not exist yet, at which a group can meet: unlike a free port, nobody else takes it."""
    return str(Path(tempfile.gettempdir()) / f"pointlab-workers-{uuid4().hex}")


def join_group(rank: int, size: int, place: str) -> None:
    """Make this process one of a gloo group that meets at `place`."""
    os.environ["GLOO_SOCKET_IFNAME"] = "lo"
    dist.init_process_group("gloo", init_method=f"file://{place}", rank=rank, world_size=size)


def _serve(orders: Connection) -> None:
    """Carry out jobs until there are no more; the first failure is told, and is the end."""
    while True:
        try:
            rank, size, place, job, arguments = orders.recv()
        except EOFError:
            break
        torch.set_num_threads(1)
        torch.manual_seed(0)
        try:
            join_group(rank, size, place)
            job(*arguments)
            dist.destroy_process_group()
        except BaseException:
            orders.send(traceback.format_exc())
            break
        orders.send("")
    sys.stdout.flush()
    os._exit(0)  # torch's threads abort the interpreter's own way out, about one time in thirty


class _Crew:
    """The processes that have been started, and how to reach them."""

    def __init__(self) -> None:
        self.members: list[tuple[Any, Connection]] = []

    def grow(self, size: int) -> list[Connection]:
        """The orders of the first `size` members, started now where they are missing."""
        context = multiprocessing.get_context("spawn")
        while len(self.members) < size:
            ours, theirs = context.Pipe()
            member = context.Process(target=_serve, args=(theirs,), daemon=True)
            member.start()
            theirs.close()
            self.members.append((member, ours))
        return [orders for _, orders in self.members[:size]]

    def disband(self) -> None:
        """End all processes, whatever they are at."""
        for member, _ in self.members:
            member.kill()
        self.members = []


_crew = _Crew()
atexit.register(_crew.disband)


def on_workers(size: int, job: Callable[..., Any], *arguments: Any) -> None:
    """Run `job` in a gloo group of `size` processes; any that fails or hangs fails the test."""
    orders, place = _crew.grow(size), meeting_place()
    for rank, own in enumerate(orders):
        own.send((rank, size, place, job, arguments))
    failures = {}
    for rank, own in enumerate(orders):
        said = "" if failures and not own.poll(1) else _answer(own)
        if said:
            failures[rank] = said
    if failures:
        _crew.disband()  # those that wait for a failed one would wait for ever
        raise AssertionError("\n".join(f"worker {rank}: {said}" for rank, said in failures.items()))


def _answer(orders: Connection) -> str:
    """What a worker says of its job: nothing, or how it failed."""
    try:
        return str(orders.recv()) if orders.poll(PATIENCE) else f"no answer within {PATIENCE} s"
    except EOFError:
        return "its process is gone"
