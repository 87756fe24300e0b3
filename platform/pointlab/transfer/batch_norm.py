"""BatchNorm statistics for mixed weights, re-estimated on training data.

The mean of two models' running statistics is not the statistics of the mixed model, and interpolation
curves of BatchNorm networks collapse if it is used. Every point of a curve, both ends included, is
therefore given the statistics of the same training data, or the comparison is confounded.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from pointlab.backbones import Backbone
from pointlab.data.sample import PointBatch
from pointlab.errors import TransferError

Read = Callable[[Any, PointBatch], Any]
"""Asks a network for what it says of a batch."""


def batch_norms(module: nn.Module) -> list[_BatchNorm]:
    """The BatchNorm layers of `module` that keep running statistics."""
    return [m for m in module.modules() if isinstance(m, _BatchNorm) and m.track_running_stats]


def up_to_statistics(backbone: Backbone, batch: PointBatch) -> object:
    """Takes a batch to the last stage with BatchNorm on the way to the pooled feature, and no further.

    A patch transformer has its only ones in the embedding: none of its blocks is computed.
    """
    names = (name for name, module in backbone.named_modules() if isinstance(module, _BatchNorm))
    owners = {backbone.stage_of(f"{name}.weight") for name in names}
    on_the_way = backbone.stages[: 1 + backbone.stages.index(backbone.pooled_stage)]
    return backbone.intermediates(batch, [stage for stage in on_the_way if stage in owners][-1:])


@torch.no_grad()
def reestimate(
    backbones: Sequence[nn.Module],
    batches: Iterable[PointBatch],
    device: torch.device,
    read: Read = up_to_statistics,
) -> None:
    """Set running statistics to the mean of the batches' own; one pass over the data for all backbones.

    They are those of the layers that `read` comes by: by default on the way to the pooled feature, which
    leaves a decoder's as they were; of a backbone with its head, those of both. Nothing else changes: dropout
    and drop path stay off, momentum is put back. A batch of one cloud counts where statistics run over its
    points or cells. Raises TransferError where no batch counts.
    """
    layers = [layer for backbone in backbones for layer in batch_norms(backbone)]
    if not layers:
        return
    momenta = [layer.momentum for layer in layers]
    before = [[buffer.clone() for buffer in layer.buffers()] for layer in layers]
    for backbone in backbones:
        backbone.eval()
    for layer in layers:
        layer.reset_running_stats()
        layer.momentum = None  # the cumulative average
        layer.train()
    _read_all(backbones, batches, device, read)
    for layer, momentum, values in zip(layers, momenta, before, strict=True):
        layer.momentum = momentum
        layer.eval()
        if not layer.num_batches_tracked:  # `read` does not come by it
            for buffer, value in zip(layer.buffers(), values, strict=True):
                buffer.copy_(value)


def _read_all(
    backbones: Sequence[nn.Module], batches: Iterable[PointBatch], device: torch.device, read: Read
) -> None:
    """Let the layers see every batch in which their values vary; TransferError where there is none."""
    is_any_read = False
    for batch in batches:
        moved = batch.to(device)
        for backbone in backbones:
            if len(batch) > 1 or _varies(backbone, moved, read):
                read(backbone, moved)
                is_any_read = True
    if not is_any_read:
        raise TransferError(
            "BatchNorm has no statistics of the training clouds: no batch gives a layer two values of each"
            " channel.",
            expected="a batch of two clouds or more, for layers that see clouds and no points",
            remedy="raise the batch size where it is 1, or take more clouds with labels",
        )


def _varies(backbone: nn.Module, batch: PointBatch, read: Read) -> bool:
    """Whether every BatchNorm that `read` comes by gets two values per channel, as a variance needs."""
    nums_values: list[int] = []

    def note(_: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        nums_values.append(inputs[0].numel() // inputs[0].shape[1])

    layers = batch_norms(backbone)
    hooks = [layer.register_forward_pre_hook(note) for layer in layers]
    backbone.eval()  # in which nothing is learned
    read(backbone, batch)
    for layer, hook in zip(layers, hooks, strict=True):
        hook.remove()
        layer.train()
    return all(number > 1 for number in nums_values)
