"""Features of a whole split, for one or many backbones, with the data read once for all."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from pointlab.backbones import Backbone
from pointlab.data.sample import PointBatch
from pointlab.errors import DataError
from pointlab.evaluation.reading import FeatureName, read


@dataclass(frozen=True)
class FeatureTable:
    """One feature and the label of every sample of a split, in stored order, on the CPU."""

    features: Float[Tensor, "samples features"]
    labels: Int64[Tensor, " samples"]
    was_kept: bool = False
    """Whether some of it had been computed before, so that its cost is not that of computing it."""

    @property
    def has_labels(self) -> bool:
        """Whether every sample has one."""
        return not bool((self.labels < 0).any())

    def require_labels(self, reader: str) -> None:
        """DataError that names the `reader` of these labels where one is missing."""
        if not self.has_labels:
            raise DataError(f"{reader} met a cloud without a label.", remedy="choose a labelled set")


@torch.no_grad()
def pooled_features(
    backbones: Sequence[Backbone],
    batches: Iterable[PointBatch],
    device: torch.device,
    feature: FeatureName = "pooled",
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
            rows.extend(value.float().cpu() for value in read(backbone, moved, [feature]))
    joined = torch.cat(labels)
    return [FeatureTable(torch.cat(rows), joined) for rows in features]
