"""PointNet against the paper written out cloud by cloud, its penalty, and its count of parameters."""

import pytest
import torch
from torch import Tensor, nn

from pointlab.backbones import build_backbone
from pointlab.backbones.pointnet import PointNet, PointNetConfig, TransformNet, distance_from_orthogonal
from pointlab.backbones.pointwise import PointwiseLayer
from pointlab.data.sample import PointBatch
from pointlab.objectives import HeadConfig, build_head

SIZES = {"widths": (6, 8, 8, 12, 16), "transform_widths": (6, 8, 12), "transform_hidden": (10, 8)}
COUNTS = torch.tensor([20, 13])


def tiny(*, transforms: bool = True, orthogonality: float = 1e-3) -> PointNet:
    """In evaluation mode, with random weights and statistics, so that transforms do something."""
    torch.manual_seed(0)
    network = PointNet(PointNetConfig(**SIZES, transforms=transforms, orthogonality=orthogonality)).eval()
    for tensor in (*network.parameters(), *network.buffers()):
        if tensor.is_floating_point():
            nn.init.uniform_(tensor, 0.1, 0.9) if tensor.ndim == 1 else nn.init.normal_(tensor, std=0.4)
    return network


def uneven_batch() -> PointBatch:
    points = torch.randn(2, 20, 3, generator=torch.Generator().manual_seed(1))
    points[1, 13:] = 0
    return PointBatch(points, COUNTS, torch.arange(2))


def naive_layer(layer: PointwiseLayer, values: Tensor) -> Tensor:
    """A kernel-1 convolution of [channels, points], batch normalisation by what is known, ReLU."""
    products = nn.functional.conv1d(values[None], layer.linear.weight[..., None], layer.linear.bias)[0]
    norm = layer.norm
    spread = (norm.running_var + norm.eps).sqrt()
    scaled = (products - norm.running_mean[:, None]) / spread[:, None]
    return (scaled * norm.weight[:, None] + norm.bias[:, None]).clamp(min=0)


def naive_matrix(transform: TransformNet, values: Tensor) -> Tensor:
    """What a transform network predicts for [channels, points] of one cloud."""
    for layer in transform.layers:
        values = naive_layer(layer, values)
    of_cloud = values.amax(1, keepdim=True)
    for layer in transform.hidden:
        of_cloud = naive_layer(layer, of_cloud)
    return (transform.out.weight @ of_cloud[:, 0] + transform.out.bias).view(transform.size, transform.size)


def naive_flow(network: PointNet, points: Tensor) -> tuple[list[Tensor], Tensor, Tensor]:
    """Of one cloud: [channels, points] after each layer, those that the transform turned, and its matrix."""
    assert network.input_transform is not None
    assert network.feature_transform is not None
    first, second, *others = network.layers
    values = naive_matrix(network.input_transform, points.T).T @ points.T
    found = [naive_layer(first, values)]
    found.append(naive_layer(second, found[-1]))
    matrix = naive_matrix(network.feature_transform, found[-1])
    values = turned = matrix.T @ found[-1]
    for layer in others:
        values = naive_layer(layer, values)
        found.append(values)
    return found, turned, matrix


def test_every_stage_equals_the_paper_cloud_by_cloud() -> None:
    network, batch = tiny(), uneven_batch()
    found = network.intermediates(batch, network.stages)
    for cloud, count in enumerate(COUNTS.tolist()):
        flow, _, _ = naive_flow(network, batch.points[cloud, :count])
        for stage, expected in zip(network.stages, flow, strict=True):
            tokens = found[stage].tokens[cloud]
            torch.testing.assert_close(tokens[:count], expected.T, atol=1e-4, rtol=1e-4)
            assert not tokens[count:].any()
            torch.testing.assert_close(found[stage].pooled[cloud], expected.amax(1), atol=1e-4, rtol=1e-4)


def test_point_features_join_the_turned_channels_and_the_global_ones() -> None:
    network, batch = tiny(), uneven_batch()
    features = network.point_features(batch)
    assert features.values.shape == (2, 20, network.point_width) == (2, 20, 8 + 16)
    flow, turned, _ = naive_flow(network, batch.points[1, :13])
    expected = torch.cat([turned, flow[-1].amax(1, keepdim=True).expand(-1, 13)]).T
    torch.testing.assert_close(features.values[1, :13], expected, atol=1e-4, rtol=1e-4)
    assert not features.values[1, 13:].any()
    assert torch.equal(features.penalty, network(batch).penalty)


def test_the_penalty_is_the_distance_of_feature_transforms_from_orthogonal_ones() -> None:
    """Equation 2: |1 - AAᵀ|², here the mean over clouds, times its weight."""
    network, batch = tiny(orthogonality=0.5), uneven_batch()
    matrices = [naive_flow(network, batch.points[cloud, :count])[2] for cloud, count in enumerate(COUNTS)]
    misses = [float(((torch.eye(8) - a @ a.T) ** 2).sum().detach()) for a in matrices]
    assert network(batch).penalty.item() == pytest.approx(0.5 * sum(misses) / 2, rel=1e-4)
    turn, _ = torch.linalg.qr(torch.randn(1, 8, 8, dtype=torch.float64))
    assert distance_from_orthogonal(turn).item() == pytest.approx(0, abs=1e-20)
    assert distance_from_orthogonal(2 * turn).item() == pytest.approx(9 * 8)  # |1 - 4|² for each of 8


def test_transforms_start_at_the_identity() -> None:
    """New networks turn nothing: they say what they say without transforms, and have no penalty yet."""
    torch.manual_seed(0)
    network, batch = PointNet(PointNetConfig(**SIZES)).eval(), uneven_batch()
    vanilla = PointNet(PointNetConfig(**SIZES, transforms=False)).eval()
    weights = {name: value for name, value in network.state_dict().items() if name.startswith("layers")}
    vanilla.load_state_dict(weights)
    torch.testing.assert_close(network(batch).tokens, vanilla(batch).tokens)
    assert network(batch).penalty.item() == 0
    assert vanilla(batch).penalty is None


def test_a_pointnet_classifier_has_the_paper_s_3_48_million_parameters() -> None:
    """3.5M in its table of costs."""
    with torch.device("meta"):
        backbone = build_backbone(PointNetConfig())
        head = build_head(HeadConfig(hidden_widths=(512, 256)), backbone.num_features, num_classes=40)
    assert sum(p.numel() for p in [*backbone.parameters(), *head.parameters()]) == 3_480_049
