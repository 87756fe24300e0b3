"""Rank, world size and reductions; alone, everything is the identity.

The process group is made by whoever launches the workers (Ray Train, or a test); this module only asks.
"""

from typing import TypeVar, cast

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

T = TypeVar("T")


def world_size() -> int:
    """Number of workers in the group; 1 without one."""
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def rank() -> int:
    """This worker's number in the group; 0 without one."""
    return dist.get_rank() if world_size() > 1 else 0


def sum_across(values: Tensor) -> Tensor:
    """Elementwise sum of `values` over all workers, the same on each; no gradient."""
    if world_size() == 1:
        return values
    total = values.detach().clone()
    dist.all_reduce(total)
    return total


def barrier() -> None:
    """Wait until every worker is here."""
    if world_size() > 1:
        dist.barrier()


def average_statistics(module: nn.Module) -> None:
    """Replace the running statistics of every BatchNorm in `module` by their mean over the workers.

    An update of running statistics is linear in them, so averaging at checkpoints gives what averaging
    after every step would have given, without a message per step.
    """
    if world_size() == 1:
        return
    norms = [layer for layer in module.modules() if isinstance(layer, _BatchNorm)]
    buffers = [buffer for norm in norms for buffer in norm.buffers() if buffer.is_floating_point()]
    if not buffers:
        return
    flat = torch.cat([buffer.reshape(-1) for buffer in buffers])
    flat = sum_across(flat) / world_size()
    for buffer, mean in zip(buffers, flat.split([b.numel() for b in buffers]), strict=True):
        buffer.copy_(mean.view_as(buffer))


def gather_objects(own: T) -> list[T]:
    """What every worker passed, in order of rank."""
    if world_size() == 1:
        return [own]
    gathered: list[T | None] = [None] * world_size()
    dist.all_gather_object(gathered, own)
    return cast(list[T], gathered)
