"""The arithmetic of PointNet++ against its definition, ball by ball, and against the released counts."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from pydantic import ValidationError
from torch import Tensor, nn

from pointlab.backbones import BackboneConfig, build_backbone
from pointlab.backbones.pointnet2 import PointNet2, PointNet2Config
from pointlab.backbones.pointwise import PointwiseLayer
from pointlab.backbones.set_abstraction import AbstractionConfig, BallConfig, JoiningLayer
from pointlab.config import read_yaml, validate
from pointlab.data.sample import PointBatch
from pointlab.errors import DataError
from pointlab.geometry import interpolate_features
from pointlab.objectives import HeadConfig, build_head

CONFIGS = Path(__file__).parents[2] / "configs" / "backbones"
COUNTS = torch.tensor([24, 13])


def ball(radius: float, num_neighbours: int, *widths: int) -> BallConfig:
    return BallConfig(radius=radius, num_neighbours=num_neighbours, widths=widths)


def tiny(**changes: Any) -> PointNet2:
    """Multi-scale in its first abstraction, with balls that are too full and others that are nearly empty."""
    settings: dict[str, Any] = {
        "first": AbstractionConfig(num_centres=12, balls=(ball(0.5, 4, 6, 8), ball(1.5, 5, 6, 4))),
        "second": AbstractionConfig(num_centres=5, balls=(ball(1.5, 8, 8, 8, 10),)),
        "global_widths": (8, 16),
        "propagation_widths": ((10, 8), (8, 8), (8, 6)),
    }
    torch.manual_seed(0)
    network = PointNet2(PointNet2Config(**{**settings, **changes})).eval()
    for parameter in network.parameters():
        nn.init.normal_(parameter, std=0.5)
    return network


def random_batch() -> PointBatch:
    """Clouds of unequal length around a place away from the origin, where the padding lies."""
    points = 0.5 + torch.randn(2, 24, 3, generator=torch.Generator().manual_seed(1))
    points[torch.arange(24) >= COUNTS.unsqueeze(1)] = 0
    return PointBatch(points, COUNTS, torch.arange(2))


def naive_farthest(points: Tensor, num_samples: int) -> Tensor:
    chosen = [0]
    while len(chosen) < num_samples:
        chosen.append(int(torch.cdist(points, points[chosen]).amin(1).argmax()))
    return points[chosen]


def naive_layers(layers: list[nn.Module], rows: Tensor) -> Tensor:
    """The layers of the paper over [rows, channels]: product, normalisation by what is known, ReLU."""
    for layer in layers:
        rows = rows @ layer.linear.weight.T + layer.linear.bias
        spread = (layer.norm.running_var + layer.norm.eps).sqrt()
        rows = ((rows - layer.norm.running_mean) / spread * layer.norm.weight + layer.norm.bias).clamp(min=0)
    return rows


def naive_abstraction(
    network: PointNet2, number: int, points: Tensor, features: Tensor
) -> tuple[Tensor, Tensor]:
    """Centres of one cloud and what a set abstraction says of them, one ball after the other."""
    abstraction = network.abstractions[number]
    config = (network.config.first, network.config.second)[number]
    centres = naive_farthest(points, config.num_centres)
    described = []
    for centre in centres:
        of_balls = []
        for one, part in zip(config.balls, abstraction.balls, strict=True):
            inside = ((points - centre).norm(dim=1) < one.radius).nonzero().squeeze(1)[: one.num_neighbours]
            rows = torch.cat([points[inside] - centre, features[inside]], dim=1)
            of_balls.append(naive_layers([part.first, *part.rest], rows).amax(0))
        described.append(torch.cat(of_balls))
    return centres, torch.stack(described)


def test_the_abstractions_equal_their_definition_ball_by_ball() -> None:
    """Clouds of other lengths in the batch leave no trace, nor do rows that fill a sparse ball."""
    network, batch = tiny(), random_batch()
    found = network.intermediates(batch, network.stages)
    for cloud, count in enumerate(COUNTS.tolist()):
        places, features = batch.points[cloud, :count], torch.empty(count, 0)
        for number in (0, 1):
            places, features = naive_abstraction(network, number, places, features)
            stage = found[network.stages[number]]
            torch.testing.assert_close(stage.positions[cloud], places)
            torch.testing.assert_close(stage.tokens[cloud], features, atol=1e-5, rtol=1e-4)
            torch.testing.assert_close(stage.pooled[cloud], features.amax(0), atol=1e-5, rtol=1e-4)
        whole = naive_layers(list(network.abstractions[2].layers), torch.cat([places, features], dim=1))
        torch.testing.assert_close(found["abstraction_3"].pooled[cloud], whole.amax(0), atol=1e-4, rtol=1e-4)
        torch.testing.assert_close(found["abstraction_3"].positions[cloud], places.mean(0, keepdim=True))


def test_a_propagation_equals_its_definition_on_the_points() -> None:
    network, batch = tiny(decoder=True), random_batch()
    found = network.intermediates(batch, network.stages)
    coarse, tokens = found["propagation_2"], found["propagation_1"].tokens
    for cloud, count in enumerate(COUNTS.tolist()):
        points = batch.points[cloud, :count]
        carried = interpolate_features(
            points[None], coarse.positions[cloud : cloud + 1], coarse.tokens[cloud : cloud + 1]
        )[0]
        layers = [network.propagations[2].first, *network.propagations[2].rest]
        expected = naive_layers(layers, torch.cat([points, carried], dim=1))
        torch.testing.assert_close(tokens[cloud, :count], expected, atol=1e-5, rtol=1e-4)
        assert not tokens[cloud, count:].any()


def test_a_joining_layer_equals_a_layer_over_the_concatenation() -> None:
    """In training mode too, where the normalisation sees every row."""
    torch.manual_seed(0)
    joining, plain = JoiningLayer(3, 5, 8), PointwiseLayer(8, 8)
    plain.load_state_dict(joining.state_dict())
    own, features, rows = torch.randn(40, 3), torch.randn(2, 6, 5), torch.randint(12, (40,))
    expected = plain(torch.cat([own, features.flatten(0, 1)[rows]], dim=1))
    found = joining(own, features, lambda of: of.flatten(0, 1)[rows])
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-4)


def test_half_precision_costs_no_more_digits_than_a_layer_over_the_concatenation() -> None:
    torch.manual_seed(0)
    joining, plain = JoiningLayer(3, 5, 8), PointwiseLayer(8, 8)
    plain.load_state_dict(joining.state_dict())
    own, features, rows = torch.randn(40, 3), 8 + torch.randn(2, 6, 5), torch.randint(12, (40,))
    joined = torch.cat([own, features.flatten(0, 1)[rows]], dim=1)
    exact = plain(joined)
    with torch.autocast("cpu", torch.bfloat16):
        found, of_paper = joining(own, features, lambda of: of.flatten(0, 1)[rows]), plain(joined)
    assert (found - exact).abs().mean() <= (of_paper - exact).abs().mean()
    torch.testing.assert_close(found, exact, atol=1e-4, rtol=1e-4)


def test_a_decoder_leaves_the_global_feature_and_describes_every_point() -> None:
    network, batch = tiny(decoder=True), random_batch()
    without = tiny()
    without.load_state_dict(
        {name: value for name, value in network.state_dict().items() if name.startswith("abstractions")}
    )
    assert torch.equal(network(batch).pooled, without(batch).pooled)
    assert network.width == without.width == 16
    features = network.intermediates(batch, ["propagation_1"])["propagation_1"]
    assert torch.equal(features.pooled, network(batch).pooled)
    assert torch.equal(features.positions, batch.points)
    assert torch.equal(network.point_features(batch).values, features.tokens)
    assert network.point_width == 6


def test_a_decoder_is_computed_only_for_features_of_points() -> None:
    network, batch = tiny(decoder=True), random_batch()
    calls: list[nn.Module] = []
    for propagation in network.propagations:
        propagation.register_forward_hook(lambda module, _inputs, _output: calls.append(module))
    network(batch)
    assert calls == []
    network.point_features(batch)
    assert calls == list(network.propagations)


@pytest.mark.parametrize("part", ["abstractions", "propagations"])
def test_colours_enter_the_first_abstraction_and_the_last_propagation(part: str) -> None:
    """Each way by itself: the weights of the other one's colours are zero."""
    network, batch = tiny(decoder=True, colours=True), random_batch()
    with torch.no_grad():
        if part == "abstractions":
            network.propagations[2].first.linear.weight[:, 3:6] = 0
        else:
            for members in network.abstractions[0].balls:
                members.first.linear.weight[:, 3:] = 0
    dark, bright = (replace(batch, colours=torch.full_like(batch.points, level)) for level in (0.2, 0.8))
    assert not torch.allclose(network.point_features(dark).values, network.point_features(bright).values)
    assert torch.equal(network(dark).pooled, network(bright).pooled) == (part == "propagations")
    with pytest.raises(DataError, match="has no colours"):
        network(batch)


def test_without_a_decoder_points_take_the_features_of_the_centres_around_them() -> None:
    network, batch = tiny(), random_batch()
    centres = network.intermediates(batch, ["abstraction_2"])["abstraction_2"]
    expected = interpolate_features(batch.points, centres.positions, centres.tokens, COUNTS)
    assert torch.equal(network.point_features(batch).values, expected)
    assert network.local_stages == ("abstraction_1", "abstraction_2")
    assert network.point_width == 10


def layer_sizes(num_inputs: int, *widths: int) -> int:
    """Parameters of kernel-1 convolutions with bias, each followed by a batch normalisation."""
    inputs = (num_inputs, *widths[:-1])
    return sum((n + 1) * m + 2 * m for n, m in zip(inputs, widths, strict=True))


WHOLE = (256, 512, 1024)
HEAD = layer_sizes(1024, 512, 256) + 257 * 40
SSG = layer_sizes(3, 64, 64, 128) + layer_sizes(131, 128, 128, 256) + layer_sizes(259, *WHOLE)
MSG = (
    (layer_sizes(3, 32, 32, 64) + layer_sizes(3, 64, 64, 128) + layer_sizes(3, 64, 96, 128))
    + (layer_sizes(323, 64, 64, 128) + 2 * layer_sizes(323, 128, 128, 256))
    + layer_sizes(643, *WHOLE)
)
DECODER = layer_sizes(1280, 256, 256) + layer_sizes(384, 256, 128) + layer_sizes(131, 128, 128, 128)


def shipped(name: str, **changes: Any) -> PointNet2:
    """The network of a shipped configuration, without memory for its weights."""
    with torch.device("meta"):
        settings = {**read_yaml(CONFIGS / f"{name}.yaml"), **changes}
        backbone = build_backbone(validate(BackboneConfig, settings, name))
    assert isinstance(backbone, PointNet2)
    return backbone


@pytest.mark.parametrize(
    ("name", "size", "size_with_head"),
    [("pointnet2", SSG, 1_475_688), ("pointnet2-msg", MSG, 1_747_368)],
)
def test_the_classifiers_have_as_many_parameters_as_the_released_ones(
    name: str, size: int, size_with_head: int
) -> None:
    """1.48M and 1.74M in the field's tables, for coordinates alone and 40 classes."""
    backbone = shipped(name)
    head = build_head(HeadConfig(hidden_widths=(512, 256)), backbone.num_features, num_classes=40)
    assert sum(p.numel() for p in backbone.parameters()) == size
    assert sum(p.numel() for p in head.parameters()) == HEAD
    assert size + HEAD == size_with_head


def test_the_decoder_has_the_layers_of_the_released_part_segmentation() -> None:
    """Those up to a point's feature, for coordinates alone; DECODER has their widths."""
    decoder = shipped("pointnet2", decoder=True).propagations
    assert sum(p.numel() for p in decoder.parameters()) == DECODER


def test_the_small_network_takes_the_smallest_clouds_of_a_scanner() -> None:
    """Objects of a few dozen points: the real ones that we have seen begin at 50."""
    assert shipped("pointnet2-small").min_points <= 50


def test_more_centres_than_there_were_before_are_refused() -> None:
    with pytest.raises(ValidationError, match="13 centres cannot be picked from 12"):
        tiny(second=AbstractionConfig(num_centres=13, balls=(ball(1.5, 8, 8, 10),)))
