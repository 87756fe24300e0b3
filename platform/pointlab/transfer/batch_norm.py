"""BatchNorm statistics for mixed weights, re-estimated on training data.

The mean of two models' running statistics is not the statistics of the mixed model, and interpolation
curves of BatchNorm networks collapse if it is used. Every point of a curve, both ends included, is
therefore given the statistics of the same training data, or the comparison is confounded.
"""

from collections.abc import Iterable, Sequence

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from pointlab.backbones import Backbone
from pointlab.data.sample import PointBatch


def batch_norms(module: nn.Module) -> list[_BatchNorm]:
    """The BatchNorm layers of `module` that keep running statistics."""
    return [m for m in module.modules() if isinstance(m, _BatchNorm) and m.track_running_stats]


@torch.no_grad()
def reestimate(backbones: Sequence[Backbone], batches: Iterable[PointBatch], device: torch.device) -> None:
    """Set running statistics to the mean of the batches' own; one pass over the data for all backbones.

    Nothing else of a backbone changes: dropout and drop path stay off, momentum is put back.
    """
    layers = [layer for backbone in backbones for layer in batch_norms(backbone)]
    if not layers:
        return
    momenta = [layer.momentum for layer in layers]
    for backbone in backbones:
        backbone.eval()
    for layer in layers:
        layer.reset_running_stats()
        layer.momentum = None  # the cumulative average
        layer.train()
    for batch in batches:
        if len(batch) < 2:
            continue  # one cloud has no variance where statistics run over clouds
        moved = batch.to(device)
        for backbone in backbones:
            backbone(moved)
    for layer, momentum in zip(layers, momenta, strict=True):
        layer.momentum = momentum
        layer.eval()
