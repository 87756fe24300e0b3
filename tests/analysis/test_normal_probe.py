"""The normal probe finds what is linear in the tokens, answers chance to noise, and knows no orientation."""

import pytest
import torch
import torch.nn.functional as F

from pointlab.analysis.normals import (
    NormalProbe,
    angles,
    outer_products,
    tokens_with_normals,
)
from pointlab.analysis.spacing import evenly_spaced
from pointlab.backbones import Features
from pointlab.data.sample import PointBatch

DRAW = torch.Generator().manual_seed(0)


def directions(number: int) -> torch.Tensor:
    return F.normalize(torch.randn(number, 3, generator=DRAW), dim=1)


def error(tokens: torch.Tensor, normals: torch.Tensor, num_parts: int = 3, penalty: float = 1e-6) -> float:
    """Of a probe fit on the first half, in parts, and scored on the second."""
    probe, half = NormalProbe(tokens.shape[1], penalty, torch.device("cpu")), len(tokens) // 2
    for part in torch.arange(half).tensor_split(num_parts):
        probe.add(tokens[part], normals[part])
    probe.solve()
    probe.score(tokens[half:], normals[half:])
    assert probe.error is not None
    return probe.error


def test_normals_that_are_linear_in_the_tokens_are_found_whatever_their_sign() -> None:
    normals = directions(400)
    tokens = outer_products(normals) @ torch.randn(6, 9, generator=DRAW) + 50
    signs = torch.randn(400, 1, generator=DRAW).sign()
    assert error(tokens, signs * normals) < 1


def test_noise_says_nothing_of_random_directions() -> None:
    assert error(torch.randn(8000, 4, generator=DRAW), directions(8000)) == pytest.approx(57.3, abs=2)


def test_the_sums_are_those_of_ordinary_ridge_regression_whatever_the_batches() -> None:
    tokens, normals = torch.randn(60, 5, generator=DRAW) * 3 + 20, directions(60)
    probe = NormalProbe(5, 0.1, torch.device("cpu"))
    for part in torch.arange(60).tensor_split(4):
        probe.add(tokens[part], normals[part])
    probe.solve()
    x, y = tokens.double(), outer_products(normals).double()
    x, y_centred = (x - x.mean(0)) / x.std(0, correction=0), y - y.mean(0)
    weights = torch.linalg.solve(x.T @ x / 60 + 0.1 * torch.eye(5), x.T @ y_centred / 60)
    assert torch.allclose(tokens.double() @ probe.weights + probe.bias, x @ weights + y.mean(0))


def test_angles_are_between_lines_and_exact_when_small() -> None:
    one = torch.tensor([[1.0, 0, 0], [1, 0, 0], [1, 0, 0]], dtype=torch.float64)
    other = torch.tensor([[-1.0, 0, 0], [0, 2, 0], [1, 1e-9, 0]], dtype=torch.float64)
    expected = torch.tensor([0, 90, 1e-9 * 180 / torch.pi], dtype=torch.float64)
    assert torch.allclose(angles(one, other), expected, atol=1e-12)


def test_rows_are_spread_over_each_clouds_own_and_none_comes_twice() -> None:
    rows, is_real = evenly_spaced(torch.tensor([9, 2]), 3)
    assert rows[0].tolist() == [0, 3, 6]
    assert rows[1][is_real[1]].tolist() == [0, 1]


def test_a_point_has_its_own_normal_and_a_patch_that_of_the_nearest_point() -> None:
    points = torch.randn(2, 6, 3, generator=DRAW)
    counts, normals = torch.tensor([6, 4]), directions(12).view(2, 6, 3)
    points[1, 4:] = 0
    batch = PointBatch(points, counts, torch.arange(2), normals=normals)
    tokens = torch.arange(12.0).view(2, 6, 1)
    of_points = tokens_with_normals(Features(tokens, points, tokens[:, 0]), batch, 99, are_points=True)
    assert of_points[0].flatten().tolist() == [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]
    assert torch.equal(of_points[1], torch.cat([normals[0], normals[1, :4]]))
    places = points[:, [3, 1]] + 1e-4
    patches = Features(tokens[:, :2], places, tokens[:, 0])
    assert torch.equal(
        tokens_with_normals(patches, batch, 99, are_points=False)[1], normals[:, [3, 1]].flatten(0, 1)
    )


def test_normals_of_length_zero_are_not_known_and_teach_nothing() -> None:
    points, counts = torch.randn(2, 4, 3, generator=DRAW), torch.tensor([4, 4])
    normals = directions(8).view(2, 4, 3)
    normals[0, 1:], normals[1] = 0, 0
    batch = PointBatch(points, counts, torch.arange(2), normals=normals)
    tokens = torch.arange(8.0).view(2, 4, 1)
    found = tokens_with_normals(Features(tokens, points, tokens[:, 0]), batch, 4, are_points=True)
    assert found[0].tolist() == [[0]]
    probe = NormalProbe(1, 0.1, torch.device("cpu"))
    for few in (found[0][:0], found[0]):
        probe.add(few, found[1][: len(few)])
    probe.solve()
    probe.score(found[0][:0], found[1][:0])
    assert (probe.num_fit, probe.error) == (1, None)
