"""Contrast of points: a point seen in two partial views is known to be one among other points. No labels.

PointContrast: Xie et al., "PointContrast: Unsupervised Pre-training for 3D Point Cloud Understanding", ECCV
2020, with PointInfoNCE (equation 2). The paper matches points of two depth frames by their distance in the
scene; here both views are taken from one stored cloud (`AugmentationConfig.crop` makes them partial), so that
points match where they are the same stored one.
"""

from typing import Literal

import torch
from jaxtyping import Float, Int64
from pydantic import Field, PositiveInt
from torch import Tensor, nn

from pointlab.backbones import Backbone
from pointlab.config import StrictModel
from pointlab.data.sample import PointBatch
from pointlab.objectives.hypersphere import unit_length
from pointlab.objectives.info_nce import Contrast, paired_info_nce
from pointlab.paradigms.base import Given, Paradigm, StepOutput

Pairs = tuple[Int64[Tensor, " pairs"], Int64[Tensor, " pairs"]]
"""Places of matched points in the first and the second view, counted through all rows of the batch."""


class PointContrastConfig(StrictModel):
    """InfoNCE between matched points of two views; a micro-batch's own points are the negatives."""

    kind: Literal["point_contrast"] = "point_contrast"
    temperature: float = Field(default=0.07, gt=0)  # the paper's
    num_pairs: PositiveInt = 4096
    """Matched pairs drawn from a micro-batch, the paper's number; where there are fewer, all are taken."""
    width: PositiveInt = 32  # of the features that are compared, as in the paper


class PointContrast(Paradigm):
    """A backbone with features for each point, and a linear map of them, which is dropped afterwards.

    The paper compares the output of its network itself; the map is our design, so that backbones of any width
    are compared in one space. Negatives are not exchanged: k workers equal one that accumulates k
    micro-batches.
    """

    inputs = ("rows",)
    num_views = 2

    def __init__(self, config: PointContrastConfig, backbone: Backbone, given: Given) -> None:  # noqa: ARG002
        """Take over `backbone`; the map is new."""
        super().__init__()
        self.config, self.backbone = config, backbone
        self.projector = nn.Linear(backbone.point_width, config.width)

    def forward(self, batch: PointBatch) -> StepOutput:
        """PointInfoNCE with the first view's points as queries; `num_pairs` says how many there were."""
        (other,) = batch.views
        assert batch.rows is not None
        assert other.rows is not None
        first, second = drawn(matched_points(batch.rows, other.rows), self.config.num_pairs)
        queries, keys = self._project(batch, first), self._project(other, second)
        contrast = self._contrast(queries, keys)
        num_pairs = torch.tensor(float(len(queries)), device=queries.device)
        metrics = {"loss": contrast.loss.detach(), "top_1": contrast.top_1, "num_pairs": num_pairs}
        return StepOutput(contrast.loss, metrics)

    def _project(self, view: PointBatch, places: Int64[Tensor, " pairs"]) -> Float[Tensor, "pairs width"]:
        """What is compared of the points at these places of a view, at unit length."""
        features = self.backbone.point_features(view).flatten(0, 1)
        return unit_length(self.projector(features.index_select(0, places)))

    def _contrast(
        self, queries: Float[Tensor, "pairs width"], keys: Float[Tensor, "pairs width"]
    ) -> Contrast:
        """PointInfoNCE, or zero without any pair."""
        if len(queries):
            return paired_info_nce(queries, keys, self.config.temperature)
        # a zero that still depends on every parameter, as other workers wait for their gradients
        return Contrast(queries.sum() + keys.sum(), queries.new_zeros(()))


def matched_points(first: Int64[Tensor, "batch points"], second: Int64[Tensor, "batch others"]) -> Pairs:
    """Places of all points that are one stored point of one cloud, in the order of the first view.

    Given are the stored rows of both views' points, -1 in padding; no cloud shows a row twice.
    """
    stride = 1 + torch.maximum(first.max(), second.max())  # more than any stored row
    names, places = _named(first, stride)
    other_names, other_places = _named(second, stride)
    if len(other_names) == 0:
        return places[:0], other_places
    other_names, order = other_names.sort()
    found = torch.searchsorted(other_names, names).clamp(max=len(other_names) - 1)
    is_match = other_names[found] == names
    return places[is_match], other_places[order[found[is_match]]]


def _named(
    rows: Int64[Tensor, "batch points"], stride: Int64[Tensor, ""]
) -> tuple[Int64[Tensor, " real"], Int64[Tensor, " real"]]:
    """A number for each stored point that a view shows, and the point's place in the batch."""
    clouds = torch.arange(len(rows), device=rows.device).unsqueeze(1)
    places = (rows.flatten() >= 0).nonzero().squeeze(1)
    return (clouds * stride + rows).flatten()[places], places


def drawn(pairs: Pairs, num_pairs: int) -> tuple[Int64[Tensor, " drawn"], Int64[Tensor, " drawn"]]:
    """So many of the pairs without replacement, by torch's generator; all of them where there are no more."""
    first, second = pairs
    if len(first) <= num_pairs:
        return pairs
    # on the CPU, so that every device draws the same
    chosen = torch.randperm(len(first))[:num_pairs].to(first.device)
    return first[chosen], second[chosen]
