"""What every backbone promises, whatever its kind: one matrix over the table, with a tiny network each."""

from dataclasses import replace

import pytest
import torch
from torch import nn

from backbones.tiny import TINY
from pointlab.backbones import BACKBONES, Backbone, BackboneConfig, build_backbone
from pointlab.data.sample import PointBatch
from pointlab.errors import ConfigError, DataError


@pytest.fixture(params=TINY)
def backbone(request: pytest.FixtureRequest) -> Backbone:
    """A tiny backbone of every kind, in evaluation mode, in which all randomness is off.

    Initial weights are so small that features hardly depend on the cloud, and every promise would hold.
    """
    torch.manual_seed(0)
    network = build_backbone(TINY[request.param])
    with torch.no_grad():
        for parameter in network.parameters():
            if parameter.ndim > 1:  # large enough for signals to stay what they are from layer to layer
                nn.init.normal_(parameter, std=(2 / parameter[0].numel()) ** 0.5)
            else:
                parameter.add_(0.3 * torch.randn_like(parameter))
    return network.eval()


def random_batch(offset: float = 0) -> PointBatch:
    """Three clouds of 40 points around `offset`; the first point, where sampling starts, is nearly there."""
    points = torch.randn(3, 40, 3, generator=torch.Generator().manual_seed(1))
    points[:, 0] *= 0.01
    return PointBatch(points + offset, torch.full((3,), 40), torch.arange(3))


# Padding is zeros: near clouds around 0 they would be taken for neighbours, far from others for extremes.
OFFSETS = pytest.mark.parametrize("offset", [0.0, 5.0])


def test_features_have_the_announced_sizes(backbone: Backbone) -> None:
    features = backbone(random_batch())
    assert features.pooled.shape == (3, backbone.num_features)
    assert features.tokens.shape[2] == backbone.width
    assert features.positions.shape == (*features.tokens.shape[:2], 3)


def test_different_clouds_have_different_features(backbone: Backbone) -> None:
    first, second, third = backbone(random_batch()).pooled
    assert min((first - second).abs().max(), (second - third).abs().max()) > 0.1


def test_intermediates_give_every_stage_and_among_them_the_forward_features(backbone: Backbone) -> None:
    batch = random_batch()
    found = backbone.intermediates(batch, backbone.stages)
    assert set(found) == set(backbone.stages)
    final = backbone(batch)
    assert torch.equal(found[backbone.pooled_stage].tokens, final.tokens)
    assert torch.equal(found[backbone.pooled_stage].pooled, final.pooled)
    if len(backbone.stages) > 1:
        assert not torch.equal(found[backbone.stages[0]].pooled, final.pooled)
    assert backbone.intermediates(batch, []) == {}


def test_every_point_has_a_feature_and_padding_zeros(backbone: Backbone) -> None:
    batch = random_batch()
    points = torch.cat([batch.points, torch.zeros(3, 9, 3)], dim=1)
    values = backbone.point_features(replace(batch, points=points)).values
    assert values.shape == (3, 49, backbone.point_width)
    assert not values[:, 40:].any()
    assert (values[:, :40].std(1) > 0).any(1).all()


def test_an_early_stage_is_the_same_when_it_is_asked_for_alone(backbone: Backbone) -> None:
    batch, first = random_batch(), backbone.stages[0]
    alone = backbone.intermediates(batch, [first])
    assert set(alone) == {first}
    assert torch.equal(alone[first].tokens, backbone.intermediates(batch, backbone.stages)[first].tokens)


def test_an_unknown_stage_is_refused_and_the_known_ones_named(backbone: Backbone) -> None:
    with pytest.raises(ConfigError, match=backbone.stages[-1]):
        backbone.intermediates(random_batch(), [backbone.stages[0], "attic"])


def test_parameters_by_depth_hold_every_parameter_once(backbone: Backbone) -> None:
    groups = backbone.parameters_by_depth()
    assert tuple(stage for stage, _ in groups) == backbone.stages
    grouped = [pair for _, parameters in groups for pair in parameters]
    assert len(grouped) == len(dict(grouped))
    assert {name: id(p) for name, p in grouped} == {name: id(p) for name, p in backbone.named_parameters()}


def test_later_stages_do_not_move_earlier_features(backbone: Backbone) -> None:
    """The grouping by depth is a true one: a stage's parameters move that stage and later ones."""
    batch = random_batch()
    before = backbone.intermediates(batch, backbone.stages)
    _, last_parameters = backbone.parameters_by_depth()[-1]
    with torch.no_grad():
        for _, parameter in last_parameters:
            if parameter.ndim > 1:
                parameter.add_(0.1 * torch.randn_like(parameter))
    after = backbone.intermediates(batch, backbone.stages)
    changed = [not torch.equal(before[stage].tokens, after[stage].tokens) for stage in backbone.stages]
    assert changed == [False] * (len(changed) - 1) + [True]


def test_the_order_of_points_does_not_matter(backbone: Backbone) -> None:
    """Up to the first point, at which sampling of centres starts."""
    batch = random_batch()
    order = torch.cat([torch.zeros(1, dtype=torch.long), 1 + torch.randperm(39)])
    shuffled = replace(batch, points=batch.points[:, order])
    torch.testing.assert_close(backbone(shuffled).pooled, backbone(batch).pooled, atol=1e-5, rtol=1e-4)


@OFFSETS
def test_padded_rows_do_not_change_the_features(backbone: Backbone, offset: float) -> None:
    batch = random_batch(offset)
    padded = replace(batch, points=torch.cat([batch.points, torch.zeros(3, 25, 3)], dim=1))
    torch.testing.assert_close(backbone(padded).pooled, backbone(batch).pooled, atol=1e-5, rtol=1e-4)


@OFFSETS
def test_clouds_of_unequal_length_do_not_see_each_other(backbone: Backbone, offset: float) -> None:
    batch = random_batch(offset)
    counts = torch.tensor([40, 33, 40])
    points = batch.points.clone()
    points[1, 33:] = 0
    together = backbone(replace(batch, points=points, counts=counts))
    alone = backbone(PointBatch(points[1:2, :33], counts[1:2], batch.ids[1:2]))
    torch.testing.assert_close(together.pooled[1:2], alone.pooled, atol=1e-5, rtol=1e-4)


def test_too_few_points_are_refused_with_both_numbers(backbone: Backbone) -> None:
    batch = random_batch()
    fewer = backbone.min_points - 1
    backbone(replace(batch, counts=torch.tensor([40, backbone.min_points, 40])))
    with pytest.raises(DataError, match=rf"has {fewer} points.*at least {backbone.min_points}"):
        backbone(replace(batch, counts=torch.tensor([40, fewer, 40])))


def test_gradients_reach_every_parameter(backbone: Backbone) -> None:
    """In evaluation mode: batch statistics would cancel the biases in front of a batch normalisation."""
    found = backbone.intermediates(random_batch(), [backbone.pooled_stage, backbone.stages[-1]])
    told = torch.cat(
        [found[backbone.pooled_stage].pooled.flatten(), found[backbone.stages[-1]].tokens.flatten()]
    )
    (told * torch.randn_like(told)).sum().backward()
    unreached = [n for n, p in backbone.named_parameters() if p.grad is None or not p.grad.any()]
    assert unreached == []


def test_training_mode_gives_finite_features(backbone: Backbone) -> None:
    assert backbone.train()(random_batch()).pooled.isfinite().all()


def test_every_kind_is_in_the_matrix() -> None:
    assert {config.kind for config in TINY.values()} == set(BACKBONES)


@pytest.mark.parametrize("config", TINY.values(), ids=TINY)
def test_the_same_seed_gives_the_same_weights(config: BackboneConfig) -> None:
    def weights(seed: int) -> dict[str, torch.Tensor]:
        torch.manual_seed(seed)
        return build_backbone(config).state_dict()

    first, again, other = weights(3), weights(3), weights(4)
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert any(not torch.equal(first[name], other[name]) for name in first)
