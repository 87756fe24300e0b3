"""Rank, world size and what workers tell each other; alone, everything is the identity.

The process group is made by whoever launches the workers (Ray Train, or a test); this module only asks.
"""

import warnings
from collections.abc import Sequence
from typing import Any, TypeVar, cast

import torch
import torch.distributed as dist
from jaxtyping import Shaped
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn.modules.batchnorm import _BatchNorm

T = TypeVar("T")
_STOP_KEY = "pointlab/stop-after-step"


def world_size() -> int:
    """Number of workers in the group; 1 without one."""
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def rank() -> int:
    """This worker's number in the group; 0 without one."""
    return dist.get_rank() if world_size() > 1 else 0


def barrier() -> None:
    """Wait until every worker is here."""
    if world_size() > 1:
        dist.barrier()


def sum_across(values: Tensor) -> Tensor:
    """Elementwise sum of `values` over all workers, the same on each; no gradient."""
    if world_size() == 1:
        return values
    total = values.detach().clone(memory_format=torch.contiguous_format)
    dist.all_reduce(total)
    return total


class _Gathered(torch.autograd.Function):
    """All workers' tensors; backwards, the sum of all workers' gradients for the own one."""

    @staticmethod
    def forward(ctx: Any, own: Tensor) -> Tensor:  # noqa: ARG004
        own = own.contiguous()
        slices = [torch.empty_like(own) for _ in range(world_size())]
        dist.all_gather(slices, own)
        return torch.stack(slices)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> Tensor:  # noqa: ARG004
        return sum_across(gradient)[rank()]


def gather_with_gradient(own: Shaped[Tensor, "*shape"]) -> Shaped[Tensor, "workers *shape"]:
    """The tensors of all workers, which have one shape, in order of rank.

    The gradient for a worker's tensor is the sum of what all workers have for it, so that of a sum of losses
    over the workers. Where gradients of parameters are then averaged (DDP), a loss counts in full if it is
    multiplied by the number of workers, as the loop's weights do. Every worker must go backwards through it,
    or none.
    """
    return own.unsqueeze(0) if world_size() == 1 else cast(Tensor, _Gathered.apply(own))  # type: ignore[no-untyped-call]


def gather_rows_with_gradient(
    own: Shaped[Tensor, "own *row"],
) -> tuple[Shaped[Tensor, "all *row"], int]:
    """The rows of all workers, in order of rank, and the place of this worker's first one among them.

    Workers may have different numbers of rows, as the shares of a batch differ by one. Gradients are those of
    `gather_with_gradient`. It costs two messages: one says how many rows there are, and makes a GPU's process
    wait for them.
    """
    if world_size() == 1:
        return own, 0
    counts = gather_with_gradient(torch.tensor([len(own)], device=own.device)).flatten().tolist()
    padding = own.new_zeros(max(counts) - len(own), *own.shape[1:])
    gathered = gather_with_gradient(torch.cat([own, padding]))
    rows = torch.cat([part[:count] for part, count in zip(gathered, counts, strict=True)])
    return rows, sum(counts[: rank()])


class GlobalStatistics:
    """Marks a layer whose running statistics are those of all workers' samples, so equal on each."""


def with_averaged_gradients(module: nn.Module, device: torch.device) -> nn.Module:
    """`module`, whose gradients become their mean over the workers in every backward; itself when alone.

    Buffers stay each worker's own. Torch would choose another layout of its messages after the first step,
    and three or more numbers add up to other bits in another place of a message: a resumed run would differ
    from an undisturbed one. Looking for unused parameters keeps the first layout; it also lets a backbone
    have parts that a paradigm does not ask for.
    """
    if world_size() == 1:
        return module
    # what is to follow it would copy the first worker's buffers to all others at the start
    warnings.filterwarnings("ignore", message=".*broadcast_buffers. is deprecated")
    return nn.parallel.DistributedDataParallel(
        module,
        device_ids=[device] if device.type == "cuda" else None,
        broadcast_buffers=False,
        find_unused_parameters=True,
    )


def running_statistics(module: nn.Module) -> dict[str, Tensor]:
    """Running means and variances of every BatchNorm in `module` that are each worker's own, by name.

    An update of running statistics is linear in them, so averaging them now and then gives what averaging
    after every step would have given, without a message per step. Those of all workers' samples are left out.
    """
    return {
        f"{prefix}.{name}" if prefix else name: buffer
        for prefix, layer in module.named_modules()
        if isinstance(layer, _BatchNorm) and not isinstance(layer, GlobalStatistics)
        for name, buffer in layer.named_buffers(recurse=False)
        if buffer.is_floating_point()
    }


@torch.no_grad()
def average_tensors(tensors: Sequence[Tensor]) -> None:
    """Replace each tensor, in place, by its mean over the workers; one message for all of them."""
    if world_size() == 1 or not tensors:
        return
    flat = torch.cat([tensor.reshape(-1) for tensor in tensors])
    flat = sum_across(flat) / world_size()
    for tensor, mean in zip(tensors, flat.split([t.numel() for t in tensors]), strict=True):
        tensor.copy_(mean.view_as(tensor))


def gather_objects(own: T) -> list[T]:
    """What every worker passed, in order of rank."""
    if world_size() == 1:
        return [own]
    gathered: list[T | None] = [None] * world_size()
    dist.all_gather_object(gathered, own)
    return cast(list[T], gathered)


def gather_to_first(own: T) -> list[T]:
    """On the first worker what every worker passed, in order of rank; nothing on the others."""
    if world_size() == 1:
        return [own]
    gathered: list[T | None] | None = [None] * world_size() if rank() == 0 else None
    dist.gather_object(own, gathered)
    return cast(list[T], gathered or [])


def broadcast_object(own: T) -> T:
    """What the first worker passed; it is pickled, so the others get a copy."""
    if world_size() == 1:
        return own
    objects = [own]
    dist.broadcast_object_list(objects)
    return objects[0]


class Pace:
    """Keeps a process at most `lead` steps ahead of its device; made once for a training run.

    On the CPU a step is done when its call returns. A GPU works through a queue: one step of lead keeps it
    busy while the process waits for the step before.
    """

    def __init__(self, device: torch.device) -> None:
        self.lead = 1 if device.type == "cuda" else 0
        self._device = device
        self._last: torch.cuda.Event | None = None

    def keep(self) -> None:
        """Wait until the device has done the step before the one just queued; called after every step."""
        if self.lead == 0:
            return
        queued = torch.cuda.Event(blocking=True)  # sleeps instead of spinning: the feed needs the core
        queued.record(torch.cuda.current_stream(self._device))
        if self._last is not None:
            self._last.synchronize()
        self._last = queued


def agree_to_stop(step: int, wants: bool, pace: Pace | None = None) -> bool:
    """Whether to stop now, after `step` steps: True on all workers at one step, soon after any `wants` to.

    Every worker asks after every step. One that wants to stop after step s puts s + 1 into the group's
    key-value store and goes on; whoever has done as many steps as it finds there stops. Nobody can miss it:
    step s + 1 ends with an exchange of gradients, which the publisher joins only after it has published. Of
    several that want to stop, the first one's number counts; nobody is past it, for the same reason.

    This needs steps that are over when the worker asks. On a GPU they are only queued, and a process could
    run ahead without bound: a `pace` bounds its lead, and the number is later by as much. Without one, the
    process waits here until its GPU is idle.

    A group's store is new, so it knows nothing of a group that stopped or broke before; and a group stops
    only once. The cost is one question a step to the store's process, a round trip on the network.
    """
    if world_size() == 1:
        return wants
    if pace is not None:
        pace.keep()
    elif torch.cuda.is_available():
        torch.cuda.synchronize()
    # torch has no public way to the default group's store; one of our own would need an address that all
    # workers know, and this is the one that whoever made the group has given them
    store = dist.distributed_c10d._get_default_store()
    if wants:
        published = store.compare_set(_STOP_KEY, "", str(step + 1 + (pace.lead if pace else 0)))
    elif store.check([_STOP_KEY]):
        published = store.get(_STOP_KEY)  # it would wait for a key that is not there, hence the question
    else:
        return False
    return step >= int(published)
