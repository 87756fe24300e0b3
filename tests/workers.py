"""Workers for tests: fresh processes in a gloo group on this machine."""

import multiprocessing
import os
import socket
import sys
from collections.abc import Callable
from typing import Any

import torch
import torch.distributed as dist


def free_port() -> int:
    """A port of the loopback interface that nobody listens on."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
    return port


def join_group(rank: int, size: int, port: int) -> None:
    """Make this process one of a gloo group that meets at `port`."""
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "GLOO_SOCKET_IFNAME": "lo"}
    dist.init_process_group("gloo", rank=rank, world_size=size)


def _member(rank: int, size: int, port: int, job: Callable[..., Any], arguments: tuple[Any, ...]) -> None:
    torch.set_num_threads(1)
    join_group(rank, size, port)
    job(*arguments)
    dist.destroy_process_group()
    sys.stdout.flush()
    os._exit(0)  # torch's threads abort the interpreter's own way out, about one time in thirty


def on_workers(size: int, job: Callable[..., Any], *arguments: Any) -> None:
    """Run `job` in a gloo group of fresh processes; any that fails fails the test."""
    context, port = multiprocessing.get_context("spawn"), free_port()
    members = [
        context.Process(target=_member, args=(rank, size, port, job, arguments)) for rank in range(size)
    ]
    for member in members:
        member.start()
    for member in members:
        member.join(timeout=120)
    exit_codes = [member.exitcode for member in members]
    for member in members:
        member.kill()  # one that waits for ever would keep the tests from ending
    assert exit_codes == [0] * size, exit_codes
