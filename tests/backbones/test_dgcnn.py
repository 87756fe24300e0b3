"""DGCNN against the paper written out edge by edge, and the released code's parameter count."""

import copy
from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from pointlab.backbones import build_backbone
from pointlab.backbones.dgcnn import Dgcnn, DgcnnConfig, EdgeConvolution
from pointlab.data.sample import PointBatch
from pointlab.objectives import HeadConfig, build_head


def naive_edge(layer: EdgeConvolution, features: Tensor, neighbours: Tensor) -> Tensor:
    """A product, a normalisation and an activation for every edge; the maximum comes last."""
    own = features[:, None].expand(*neighbours.shape, -1)
    edges = layer.linear(torch.cat([features[neighbours] - own, own], dim=2))
    norm = layer.norm
    mean, variance = norm.running_mean, norm.running_var
    if norm.training:
        mean, variance = edges.mean((0, 1)), edges.var((0, 1), unbiased=False)
    edges = (edges - mean) / (variance + norm.eps).sqrt() * norm.weight + norm.bias
    return nn.functional.leaky_relu(edges, 0.2).amax(1)


def naive_stages(network: Dgcnn, points: Tensor) -> list[Tensor]:
    """One cloud, in evaluation mode: what `edge_1`, `edge_2`, … and `embedding` say of its points."""
    of_edges, features = [], points
    for layer in network.edges:
        order = torch.cdist(features.double(), features.double()).argsort(dim=1, stable=True)
        features = naive_edge(layer, features, order[:, : network.config.num_neighbours])
        of_edges.append(features)
    return [*of_edges, network.embedding(torch.cat(of_edges, dim=1))]


def edge_layer() -> EdgeConvolution:
    torch.manual_seed(0)
    layer = EdgeConvolution(6, 9)
    nn.init.normal_(layer.norm.weight)  # of both signs: the maximum may come from the smallest product
    nn.init.normal_(layer.norm.bias)
    nn.init.normal_(layer.norm.running_mean)
    return layer


def tiny() -> Dgcnn:
    torch.manual_seed(0)
    network = Dgcnn(DgcnnConfig(num_neighbours=4, edge_widths=(8, 8, 12), embedding_width=16)).eval()
    for parameter in network.parameters():
        nn.init.normal_(parameter, std=0.5)  # so that neighbours in features are not those in space
    return network


def uneven_batch() -> PointBatch:
    points = torch.randn(2, 30, 3, generator=torch.Generator().manual_seed(1))
    points[1, 21:] = 0
    return PointBatch(points, torch.tensor([30, 21]), torch.tensor([0, 1]))


@pytest.mark.parametrize("is_training", [True, False])
def test_an_edge_convolution_equals_the_paper_edge_by_edge(is_training: bool) -> None:
    layer = edge_layer().train(is_training)
    expected_layer = copy.deepcopy(layer)
    features, neighbours = torch.randn(40, 6), torch.randint(0, 40, (40, 5))
    weights = torch.randn(40, 9)
    found, expected = features.clone().requires_grad_(), features.clone().requires_grad_()
    values, expected_values = layer(found, neighbours), naive_edge(expected_layer, expected, neighbours)
    torch.testing.assert_close(values, expected_values, atol=1e-5, rtol=1e-5)
    (values * weights).sum().backward()
    (expected_values * weights).sum().backward()
    torch.testing.assert_close(found.grad, expected.grad, atol=1e-4, rtol=1e-4)
    for parameter, other in zip(layer.parameters(), expected_layer.parameters(), strict=True):
        torch.testing.assert_close(parameter.grad, other.grad, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("is_training", [True, False])
def test_half_precision_costs_no_more_digits_than_in_the_paper_s_form(is_training: bool) -> None:
    """Points far from the origin and near each other, whose products nearly cancel."""
    layer = edge_layer().train(is_training)
    features, neighbours = 8 + 0.1 * torch.randn(40, 6), torch.randint(0, 40, (40, 5))
    exact = naive_edge(layer, features, neighbours)
    with torch.autocast("cpu", torch.bfloat16):
        found, of_paper = layer(features, neighbours), naive_edge(layer, features, neighbours)
    assert (found - exact).abs().mean() <= (of_paper - exact).abs().mean()
    torch.testing.assert_close(found, exact, atol=1e-3, rtol=1e-3)


def test_an_edge_convolution_keeps_the_statistics_of_its_edges() -> None:
    layer = edge_layer().train()
    layer.norm.momentum = None  # the mean of all batches so far
    layer.norm.reset_running_stats()
    features, neighbours = torch.randn(40, 6), torch.randint(0, 40, (40, 5))
    layer(features, neighbours)
    own = features[:, None].expand(40, 5, 6)
    edges = layer.linear(torch.cat([features[neighbours] - own, own], dim=2)).flatten(0, 1)
    torch.testing.assert_close(layer.norm.running_mean, edges.mean(0), atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(layer.norm.running_var, edges.var(0), atol=1e-5, rtol=1e-5)


def test_every_stage_equals_the_paper_cloud_by_cloud() -> None:
    network, batch = tiny(), uneven_batch()
    found = network.intermediates(batch, network.stages)
    for cloud, count in enumerate(batch.counts.tolist()):
        for stage, expected in zip(
            network.stages, naive_stages(network, batch.points[cloud, :count]), strict=True
        ):
            torch.testing.assert_close(found[stage].tokens[cloud, :count], expected, atol=1e-5, rtol=1e-4)
            assert not found[stage].tokens[cloud, count:].any()
            pooled = torch.cat([expected.amax(0), expected.mean(0)])
            torch.testing.assert_close(found[stage].pooled[cloud], pooled, atol=1e-5, rtol=1e-4)


def test_point_features_are_those_of_all_edges_and_of_the_whole_cloud() -> None:
    network, batch = tiny(), uneven_batch()
    features = network.point_features(batch).values
    assert features.shape == (2, 30, network.point_width)
    *of_edges, embedded = naive_stages(network, batch.points[1, :21])
    expected = torch.cat([*of_edges, embedded.amax(0).expand(21, -1)], dim=1)
    torch.testing.assert_close(features[1, :21], expected, atol=1e-5, rtol=1e-4)
    assert not features[1, 21:].any()


def test_padding_does_not_enter_batch_statistics() -> None:
    batch = uneven_batch()
    padded = replace(batch, points=torch.cat([batch.points, torch.zeros(2, 11, 3)], dim=1))
    pooled = tiny().train()(batch).pooled
    torch.testing.assert_close(tiny().train()(padded).pooled, pooled, atol=1e-5, rtol=1e-4)


def test_a_dgcnn_classifier_has_as_many_parameters_as_the_released_one() -> None:
    """1,809,576 at 40 classes, and 512 biases that its head's first layer lacks and ours has."""
    with torch.device("meta"):
        backbone = build_backbone(DgcnnConfig())
        head = build_head(HeadConfig(hidden_widths=(512, 256)), backbone.num_features, num_classes=40)
    parameters = [*backbone.parameters(), *head.parameters()]
    assert sum(p.numel() for p in parameters) == 1_809_576 + 512
