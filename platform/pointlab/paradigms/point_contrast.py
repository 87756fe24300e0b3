"""Contrast of points: a point seen in two partial views is known to be one among other points. No labels.

PointContrast: Xie et al., "PointContrast: Unsupervised Pre-training for 3D Point Cloud Understanding", ECCV
2020, with PointInfoNCE (equation 2). The paper matches points of two depth frames by their distance in the
scene; here both views are taken from one stored cloud (`AugmentationConfig.crop` makes them partial), so that
points match where they are the same stored one.
"""

from typing import ClassVar, Literal

import torch
from jaxtyping import Float, Int64
from pydantic import Field, PositiveInt
from torch import Tensor, nn

from pointlab import distributed
from pointlab.backbones import Backbone, PointFeatures
from pointlab.data.sample import PointBatch
from pointlab.objectives.hypersphere import unit_length
from pointlab.objectives.info_nce import CloudsOfPairs, point_info_nce
from pointlab.paradigms.base import Given, Paradigm, ParadigmSettings, StepOutput, with_penalty

Pairs = tuple[Int64[Tensor, " pairs"], Int64[Tensor, " pairs"]]
"""Places of matched points in the first and the second view, counted through all rows of the batch."""


class PointContrastConfig(ParadigmSettings):
    """InfoNCE between matched points of two views; all other matched points are the negatives."""

    num_views: ClassVar[int] = 2
    kind: Literal["point_contrast"] = "point_contrast"
    temperature: float = Field(default=0.07, gt=0)  # the paper's
    pairs_per_cloud: PositiveInt = 128
    """Matched pairs drawn from each cloud, all where there are fewer. A batch of 32 clouds then has 4,096, as
    a batch of 32 scenes in the released configuration; of single objects, each is to count alike."""
    width: PositiveInt = 32  # of the features that are compared, as in the paper
    negatives: Literal["all_workers", "micro_batch"] = "all_workers"
    """all_workers: k workers train as one with the whole micro-batch. micro_batch, as in the paper: as one
    that accumulates k micro-batches, with a k-th of the negatives."""


class PointContrast(Paradigm):
    """A backbone with features for each point, and a linear map of them, which is dropped afterwards.

    The paper compares the output of its network itself; the map is our design, so that backbones of any width
    are compared in one space. Every cloud counts alike, whatever the number of its pairs: so workers with a
    share of a batch each are one worker with all of it, given the same pairs. Which ones are drawn follows
    torch's generator, and so the shares.
    """

    inputs = ("rows",)
    num_views = PointContrastConfig.num_views

    def __init__(self, config: PointContrastConfig, backbone: Backbone, given: Given) -> None:  # noqa: ARG002
        """Take over `backbone`; the map is new."""
        super().__init__()
        self.config, self.backbone = config, backbone
        self.projector = nn.Linear(backbone.point_width, config.width)

    def forward(self, batch: PointBatch) -> StepOutput:
        """PointInfoNCE with the first view's points as queries.

        `num_pairs` is the mean over clouds of how many pairs each had, and `unmatched` the share of those
        that had none. These add nothing to what is trained; the `loss` that is told is of the others.
        """
        (other,) = batch.views
        assert batch.rows is not None
        assert other.rows is not None
        num_points = batch.rows.shape[1]
        first, second = drawn(matched_points(batch.rows, other.rows), num_points, self.config.pairs_per_cloud)
        said, said_of_other = self.backbone.point_features(batch), self.backbone.point_features(other)
        queries, keys = self._project(said, first), self._project(said_of_other, second)
        everyone, start = keys, 0
        # Validation batches are dealt out unevenly: an exchange would wait for workers that have none left.
        if self.training and self.config.negatives == "all_workers":
            everyone, start = distributed.gather_rows_with_gradient(keys)
        clouds = CloudsOfPairs(first // num_points, len(batch))
        contrast = point_info_nce(queries, everyone, start, clouds, self.config.temperature)
        sizes = clouds.sizes.float()
        unmatched = (sizes == 0).float().mean()
        matched = (1 - unmatched).clamp_min(1 / len(batch))
        metrics = {
            "loss": contrast.loss.detach() / matched,
            "top_1": contrast.top_1 / matched,
            "num_pairs": sizes.mean(),
            "unmatched": unmatched,
        }
        return StepOutput(with_penalty(contrast.loss, said, said_of_other), metrics)

    def _project(
        self, features: PointFeatures, places: Int64[Tensor, " pairs"]
    ) -> Float[Tensor, "pairs width"]:
        """What is compared of the points at these places of a view, at unit length."""
        return unit_length(self.projector(features.values.flatten(0, 1).index_select(0, places)))


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


def drawn(
    pairs: Pairs, num_points: int, per_cloud: int
) -> tuple[Int64[Tensor, " drawn"], Int64[Tensor, " drawn"]]:
    """So many pairs of each cloud without replacement, by torch's generator; all where there are no more.

    The first views of clouds are of `num_points` rows each; pairs stay in their order.
    """
    first, second = pairs
    clouds = first // num_points
    # on the CPU, so that every device draws the same; in double precision, so that hardly two are equal
    keys = torch.rand(len(first), dtype=torch.float64).to(first.device)
    order = (clouds + keys).argsort()  # cloud by cloud, at random within each
    sizes = torch.bincount(clouds)
    place = torch.arange(len(first), device=first.device) - (sizes.cumsum(0) - sizes)[clouds]
    chosen = order[place < per_cloud].sort().values
    return first[chosen], second[chosen]
