"""PointMLP against the paper written out member by member, and the released code's parameter counts."""

import copy
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from pydantic import ValidationError
from torch import Tensor, nn

from pointlab.backbones import build_backbone
from pointlab.backbones.pointmlp import PointMlp, PointMlpConfig
from pointlab.backbones.pointmlp_stage import GroupStage, ResidualBlock
from pointlab.backbones.pointwise import RowNorm
from pointlab.config import read_yaml
from pointlab.data.sample import PointBatch
from pointlab.geometry import farthest_point_sample, gather_points
from pointlab.objectives import HeadConfig, build_head

CONFIGS = Path(__file__).resolve().parents[2] / "configs" / "backbones"


def naive_norm(norm: RowNorm, values: Tensor) -> Tensor:
    mean, variance = norm.running_mean, norm.running_var
    if norm.training:
        others = tuple(range(values.ndim - 1))
        mean, variance = values.mean(others), values.var(others, unbiased=False)
    return (values - mean) / (variance + norm.eps).sqrt() * norm.weight + norm.bias


def naive_block(block: ResidualBlock, values: Tensor) -> Tensor:
    hidden = naive_norm(block.inner.norm, block.inner.linear(values)).relu()
    return (values + naive_norm(block.norm, block.linear(hidden))).relu()


def naive_stage(stage: GroupStage, features: Tensor, centres: Tensor, members: Tensor) -> Tensor:
    """Every member of every group normalised, joined to its centre and sent through the layers."""
    clouds = []
    for values, own, rows in zip(features, centres, members, strict=True):
        offsets = values[rows] - own[:, None]
        normalised = stage.scale * offsets / (offsets.std() + 1e-5) + stage.shift
        clouds.append(torch.cat([normalised, own[:, None].expand_as(offsets)], dim=2))
    transfer = stage.transfer
    values = naive_norm(transfer.norm, transfer.linear(torch.stack(clouds))).relu()
    for block in stage.pre_blocks:
        values = naive_block(block, values)
    values = values.amax(2)
    for block in stage.pos_blocks:
        values = naive_block(block, values)
    return values


def random_stage() -> GroupStage:
    torch.manual_seed(0)
    stage = GroupStage(6, 8, 2, 1, 0.5)
    for parameter in stage.parameters():
        if parameter.ndim == 1:
            parameter.data += 0.3 * torch.randn_like(parameter)
    return stage


def tiny(**changes: Any) -> PointMlp:
    torch.manual_seed(0)
    sizes: dict[str, Any] = {
        "embedding_width": 6,
        "num_centres": (15, 9, 4),
        "expansions": (2, 2, 1),
        "num_pre_blocks": (1, 1, 1),
        "num_pos_blocks": (1, 1, 1),
        "num_neighbours": 5,
    }
    return PointMlp(PointMlpConfig(**(sizes | changes)))


def uneven_batch() -> PointBatch:
    points = torch.randn(2, 30, 3, generator=torch.Generator().manual_seed(1))
    points[1, 21:] = 0
    return PointBatch(points, torch.tensor([30, 21]), torch.tensor([0, 1]))


@pytest.mark.parametrize("is_training", [True, False])
def test_a_stage_equals_the_paper_member_by_member(is_training: bool) -> None:
    stage = random_stage().train(is_training)
    other = copy.deepcopy(stage)
    features, members = torch.randn(2, 20, 6), torch.randint(0, 20, (2, 7, 4))
    found, expected = features.clone().requires_grad_(), features.clone().requires_grad_()
    values = stage(found, found[:, 3:10], members)
    expected_values = naive_stage(other, expected, expected[:, 3:10], members)
    torch.testing.assert_close(values, expected_values, atol=1e-5, rtol=1e-5)
    weights = torch.randn_like(values)
    (values * weights).sum().backward()
    (expected_values * weights).sum().backward()
    torch.testing.assert_close(found.grad, expected.grad, atol=1e-4, rtol=1e-4)
    for parameter, its_double in zip(stage.parameters(), other.parameters(), strict=True):
        torch.testing.assert_close(parameter.grad, its_double.grad, atol=1e-4, rtol=1e-4)


def test_a_group_is_the_same_wherever_and_however_large_its_features_are() -> None:
    """What the geometric affine module is for, seen through a layer that reads the offsets alone."""
    stage = random_stage().eval()
    nn.init.zeros_(stage.transfer.linear.weight[:, 6:])
    features, members = torch.randn(1, 20, 6), torch.randint(0, 20, (1, 7, 4))
    moved = 30 * features + torch.randn(6)
    values = stage(features, features[:, :7], members)
    torch.testing.assert_close(stage(moved, moved[:, :7], members), values, atol=1e-3, rtol=1e-3)


def test_half_precision_costs_no_more_digits_than_in_the_paper_s_form() -> None:
    """Of a stage without blocks, so that the products alone are compared."""
    torch.manual_seed(0)
    stage = GroupStage(6, 8, 0, 0, 1.0)
    features, members = 8 + torch.randn(2, 20, 6), torch.randint(0, 20, (2, 7, 4))
    exact = naive_stage(stage, features, features[:, :7], members)
    with torch.autocast("cpu", torch.bfloat16):
        found = stage(features, features[:, :7], members)
        of_paper = naive_stage(stage, features, features[:, :7], members)
    assert (found - exact).abs().mean() <= (of_paper - exact).abs().mean()
    torch.testing.assert_close(found, exact, atol=1e-3, rtol=1e-3)


def test_a_cloud_that_is_one_place_stays_finite_in_half_precision() -> None:
    stage, members = random_stage(), torch.randint(0, 20, (2, 7, 4))
    features = torch.full((2, 20, 6), 3.0)
    with torch.autocast("cpu", torch.float16):
        assert stage(features.half(), features[:, :7].half(), members).isfinite().all()


def test_centres_are_farthest_point_samples_of_the_stage_before() -> None:
    network, batch = tiny().eval(), uneven_batch()
    found = network.intermediates(batch, network.stages)
    before, counts = batch.points, batch.counts
    for stage, num_centres in zip(network.stages[1:], (15, 9, 4), strict=True):
        expected = gather_points(before, farthest_point_sample(before, num_centres, counts))
        assert torch.equal(found[stage].positions, expected)
        before, counts = expected, None


def test_padding_does_not_enter_batch_statistics() -> None:
    batch = uneven_batch()
    padded = replace(batch, points=torch.cat([batch.points, torch.zeros(2, 11, 3)], dim=1))
    pooled = tiny().train()(batch).pooled
    torch.testing.assert_close(tiny().train()(padded).pooled, pooled, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize(("name", "expected"), [("pointmlp", 13_238_504), ("pointmlp-elite", 716_232)])
def test_a_pointmlp_classifier_has_as_many_parameters_as_the_released_one(name: str, expected: int) -> None:
    config = PointMlpConfig.model_validate(read_yaml(CONFIGS / f"{name}.yaml"))
    with torch.device("meta"):
        backbone = build_backbone(config)
        head = build_head(HeadConfig(hidden_widths=(512, 256)), backbone.num_features, num_classes=40)
    assert sum(p.numel() for p in [*backbone.parameters(), *head.parameters()]) == expected


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"expansions": (2, 2)}, r"\[3, 2, 3, 3\]"),
        ({"num_centres": (9, 15, 4)}, "must not rise"),
        ({"num_neighbours": 10}, "num_neighbours 10 exceeds"),
        ({"bottleneck": 0.05}, "leaves no channel of 12"),
    ],
)
def test_stages_that_do_not_fit_together_are_refused(changes: dict[str, Any], complaint: str) -> None:
    with pytest.raises(ValidationError, match=complaint):
        tiny(**changes)
