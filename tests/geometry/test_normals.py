"""Normals of surfaces that have a formula, and of neighbourhoods that have no surface."""

import pytest
import torch

from pointlab.errors import DataError
from pointlab.geometry import estimate_normals, normals


def random_directions(num_points, seed=0):
    directions = torch.randn(num_points, 3, generator=torch.Generator().manual_seed(seed))
    return torch.nn.functional.normalize(directions, dim=1)


def points_on_plane(normal, num_points=80):
    points = random_directions(num_points)
    return points - (points @ normal).unsqueeze(1) * normal + 3 * normal


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_normals_of_a_plane_are_its_own(dtype):
    normal = torch.tensor([2.0, -6.0, 3.0]) / 7
    normals = estimate_normals(points_on_plane(normal)[None].to(dtype))
    assert normals.dtype == dtype
    torch.testing.assert_close(normals[0], -normal.to(dtype).expand(80, 3), atol=1e-5, rtol=0)


def test_normals_of_a_sphere_point_along_its_radius():
    points = random_directions(2000)
    normals = estimate_normals(points[None])[0]
    assert (normals * points).sum(1).abs().min() > 0.97


def test_normals_are_those_of_the_plane_that_fits_each_neighbourhood_best():
    points = torch.randn(50, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    nearest = torch.cdist(points, points).argsort(dim=1)[:, :9]
    fitted = [torch.linalg.svd(patch - patch.mean(0)).Vh[2] for patch in points[nearest]]
    cosines = (estimate_normals(points[None], 9)[0] * torch.stack(fitted)).sum(1)
    torch.testing.assert_close(cosines.abs(), torch.ones(50, dtype=torch.float64))


def test_normals_of_a_narrow_strip_lose_no_digits():
    along, across = torch.tensor([1.0, 2, 2]) / 3, torch.tensor([-2.0, -1, 2]) / 3
    place = torch.rand(60, 2, generator=torch.Generator().manual_seed(0)) * torch.tensor([1, 0.01])
    normals = estimate_normals((place @ torch.stack([along, across]))[None], 60)[0]
    torch.testing.assert_close(normals, torch.tensor([2.0, -2, 1]).expand(60, 3) / 3, atol=1e-4, rtol=0)


def test_normals_have_unit_length_and_a_positive_largest_component():
    normals = estimate_normals(torch.randn(2, 60, 3), num_neighbours=5)
    torch.testing.assert_close(normals.norm(dim=2), torch.ones(2, 60))
    assert (normals.gather(2, normals.abs().argmax(2, keepdim=True)) > 0).all()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_place_repeated_has_the_normal_up(dtype):
    points = torch.full((1, 20, 3), 0.1, dtype=dtype)
    assert torch.equal(estimate_normals(points, 7), torch.tensor([0, 1, 0], dtype=dtype).expand(1, 20, 3))


def test_a_line_has_unit_normals_across_it():
    points = torch.linspace(-1, 1, 20)[:, None] * torch.tensor([1.0, 2, 2])
    normals = estimate_normals(points[None], 5)[0]
    torch.testing.assert_close(normals.norm(dim=1), torch.ones(20))
    torch.testing.assert_close(normals @ torch.tensor([1.0, 2, 2]), torch.zeros(20), atol=1e-5, rtol=0)


def test_padding_changes_nothing_and_has_zero_normals():
    cloud = random_directions(40)
    padded = torch.zeros(2, 50, 3)
    padded[0, :40], padded[1] = cloud, random_directions(50, seed=1)
    normals = estimate_normals(padded, 8, torch.tensor([40, 50]))
    assert torch.equal(normals[0, :40], estimate_normals(cloud[None], 8)[0])
    assert normals[0, 40:].abs().max() == 0


@pytest.mark.parametrize("num_neighbours", [8, 60])
def test_the_size_of_a_block_changes_no_bit(monkeypatch, num_neighbours):
    points, counts = torch.randn(3, 90, 3), torch.tensor([90, 61, 77])
    whole = estimate_normals(points, num_neighbours, counts)
    for rows in (1, 21, 60):
        monkeypatch.setattr(normals, "_ROWS", rows)
        assert torch.equal(estimate_normals(points, num_neighbours, counts), whole)


def test_a_shift_leaves_normals_as_they_are():
    points = random_directions(300)[None].double()
    torch.testing.assert_close(estimate_normals(points + 100), estimate_normals(points), atol=1e-7, rtol=0)


@pytest.mark.parametrize("num_neighbours", [2, 41])
def test_a_neighbourhood_that_is_too_small_or_too_large_is_an_error(num_neighbours):
    with pytest.raises(DataError, match="neighbour"):
        estimate_normals(random_directions(40)[None], num_neighbours)
