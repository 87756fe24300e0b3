"""What heads read of a backbone: a stage's tokens, pooled one way or another, all from one pass."""

from collections.abc import Set as AbstractSet

import pytest
import torch

from pointlab.backbones import Backbone, Features
from pointlab.data.sample import PointBatch
from pointlab.errors import ConfigError
from pointlab.evaluation.reading import feature_name, pool, read


class Counting(Backbone):
    """Its tokens are the points times the number of the stage; it counts its passes."""

    stages, widths, num_features, min_points = ("first", "second", "third"), (3, 3, 3), 3, 1
    point_stages = ("first", "second", "third")
    passes = 0

    @property
    def pooled_stage(self) -> str:
        return "second"

    def compute(self, batch: PointBatch, stages: AbstractSet[str]) -> dict[str, Features]:
        self.passes += 1
        found = {}
        for stage in stages:
            tokens = (1 + self.stages.index(stage)) * batch.points
            found[stage] = Features(tokens, batch.points, tokens.sum(1))
        return found

    def stage_of(self, parameter: str) -> str:
        return "first"


def clouds() -> PointBatch:
    """Two clouds, the second of which has two points and a row of padding."""
    points = torch.arange(18.0).view(2, 3, 3)
    points[1, 2] = 0
    return PointBatch(points, torch.tensor([3, 2]), torch.arange(2), torch.zeros(2, dtype=torch.int64))


def test_several_features_are_read_in_one_pass_and_padding_says_nothing() -> None:
    backbone, batch = Counting(), clouds()
    names = ["pooled", "first/maximum", "third/mean", "second/maximum_and_mean"]
    pooled, maximum, mean, both = read(backbone, batch, names)
    assert backbone.passes == 1
    assert torch.equal(pooled, 2 * batch.points.sum(1))
    assert torch.equal(maximum, torch.stack([batch.points[0, 2], batch.points[1, 1]]))
    means = torch.stack([batch.points[0].mean(0), batch.points[1, :2].mean(0)])
    assert torch.equal(mean, 3 * means)
    assert torch.equal(both, torch.cat([2 * maximum, 2 * means], dim=1))


def test_what_an_svm_reads_needs_no_stage() -> None:
    (found,) = read(Counting(), clouds(), ["svm"])
    assert torch.equal(found, 2 * clouds().points.sum(1))


def test_a_feature_is_named_by_its_stage_unless_heads_read_it_in_training() -> None:
    backbone = Counting()
    assert feature_name(backbone, "second", "pooled") == "pooled"
    assert feature_name(backbone, "first", "pooled") == "first/pooled"
    with pytest.raises(ConfigError, match="no stage 'fourth'"):
        read(backbone, clouds(), ["fourth/mean"])


def test_pooled_tokens_leave_padding_out_and_a_single_token_is_the_feature() -> None:
    tokens = torch.tensor([[[-1.0], [-3.0], [0.0]], [[-2.0], [-4.0], [-6.0]]])
    counts = torch.tensor([2, 3])
    assert pool(tokens, counts, "maximum_and_mean").tolist() == [[-1, -2], [-2, -4]]
    assert pool(tokens, None, "maximum_and_mean").tolist() == [[0, pytest.approx(-4 / 3)], [-2, -4]]
    assert pool(tokens[:, :1], None, "maximum_and_mean").tolist() == [[-1], [-2]]
