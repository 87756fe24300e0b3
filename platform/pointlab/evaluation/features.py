"""Features of a whole split, for one or many backbones, with the data read once for all."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from pointlab.backbones import Backbone
from pointlab.data.sample import PointBatch


@dataclass(frozen=True)
class FeatureTable:
    """The pooled feature and the label of every sample of a split, in stored order, on the CPU."""

    features: Float[Tensor, "samples features"]
    labels: Int64[Tensor, " samples"]


@torch.no_grad()
def pooled_features(
    backbones: Sequence[Backbone], batches: Iterable[PointBatch], device: torch.device
) -> list[FeatureTable]:
    """One table per backbone, each in eval mode; every batch is read once, whatever their number."""
    for backbone in backbones:
        backbone.eval()
    features: list[list[Tensor]] = [[] for _ in backbones]
    labels: list[Tensor] = []
    for batch in batches:
        assert batch.labels is not None, "a batch always carries labels, -1 where there are none"
        labels.append(batch.labels)
        moved = batch.to(device)
        for backbone, rows in zip(backbones, features, strict=True):
            rows.append(backbone(moved).pooled.float().cpu())
    joined = torch.cat(labels)
    return [FeatureTable(torch.cat(rows), joined) for rows in features]
