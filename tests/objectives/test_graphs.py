"""The graph over centres equals its equations, edge by edge; everything in double precision."""

import pytest
import torch
from torch import Tensor, nn

from pointlab.errors import DataError
from pointlab.objectives.graphs import CentreGraph, nearest_centres


def graph() -> CentreGraph:
    """A small graph network whose norms do not start as the identity."""
    torch.manual_seed(0)
    network = CentreGraph(6, 12, (8, 8, 12, 12, 16)).double()
    for parameter in network.parameters():
        parameter.data += 0.1 * torch.randn_like(parameter)
    return network


def normalised(norm: nn.GroupNorm, values: Tensor) -> Tensor:
    """LeakyReLU(GroupNorm) of one cloud's values, [channels, anything]: four groups of channels."""
    groups = values.reshape(4, -1)
    mean, variance = groups.mean(1, keepdim=True), groups.var(1, keepdim=True, unbiased=False)
    scaled = ((groups - mean) / (variance + 1e-5).sqrt()).reshape(values.shape)
    moved = scaled * norm.weight.view(-1, *[1] * (values.ndim - 1)) + norm.bias.view(
        -1, *[1] * (values.ndim - 1)
    )
    return torch.where(moved > 0, moved, 0.2 * moved)


def naive(network: CentreGraph, tokens: Tensor, centres: Tensor) -> Tensor:
    """One cloud: a vector [f_j - f_i, f_i] for each of the four nearest centres j, i among them."""
    rows, found = tokens @ network.input.weight.T + network.input.bias, []
    near = [(centres - centre).square().sum(1).argsort()[:4].tolist() for centre in centres]
    assert all(own in members for own, members in enumerate(near))
    for layer in network.edges:
        edges = [[torch.cat([rows[j] - rows[i], rows[i]]) for j in near[i]] for i in range(len(rows))]
        told = torch.stack([torch.stack([layer.linear.weight @ edge for edge in of_one]) for of_one in edges])
        rows = normalised(layer.norm, told.permute(2, 0, 1)).amax(2).T
        found.append(rows)
    return normalised(network.norm, network.output.weight @ torch.cat(found, dim=1).T).T


@pytest.mark.parametrize("num_centres", [7, 4])
def test_the_graph_network_equals_its_equations_edge_by_edge(num_centres: int) -> None:
    network = graph()
    draw = torch.Generator().manual_seed(1)
    tokens = torch.randn(2, num_centres, 6, generator=draw, dtype=torch.float64)
    centres = torch.randn(2, num_centres, 3, generator=draw, dtype=torch.float64)
    expected = torch.stack([naive(network, *cloud) for cloud in zip(tokens, centres, strict=True)])
    found = network(tokens, nearest_centres(centres))
    torch.testing.assert_close(found, expected, atol=1e-10, rtol=1e-10)


def test_fewer_centres_than_neighbours_are_refused() -> None:
    with pytest.raises(DataError, match="neighbours"):
        nearest_centres(torch.randn(1, 3, 3))


def test_edges_and_output_have_no_bias_but_the_first_layer_has() -> None:
    network = graph()
    assert network.input.bias is not None
    assert [layer.linear.bias for layer in network.edges] + [network.output.bias] == [None] * 5
