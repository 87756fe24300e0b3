"""Nearest neighbours against a sort of every distance, through both searches."""

import numpy as np
import pytest
import torch

from pointlab.errors import DataError
from pointlab.geometry import all_pairs, nearest_neighbours, neighbours
from pointlab.geometry.tree import search_trees

SEARCHES = {"all pairs": all_pairs.search_all_pairs, "tree": search_trees}


def make_points(shape, num_points, seed=0, dtype=np.float32):
    generator = np.random.default_rng(seed)
    points = {
        "random": lambda: generator.normal(size=(num_points, 3)),
        "grid": lambda: generator.integers(0, 4, size=(num_points, 3)),
        "one place": lambda: np.full((num_points, 3), 0.3),
        "tiny": lambda: 2e-23 * generator.normal(size=(num_points, 3)),  # squares underflow in float32
    }[shape]()
    return points.astype(dtype)


def naive_neighbours(queries, points, num_neighbours):
    """Every distance, sorted by value and then by row."""
    x, y, z = np.moveaxis((queries[:, None] - points[None]) ** 2, 2, 0)
    squared = x + y + z
    rows = np.argsort(squared, axis=1, kind="stable")[:, :num_neighbours]
    return np.sqrt(np.take_along_axis(squared, rows, axis=1)), rows


@pytest.fixture(params=SEARCHES)
def is_tree(request, monkeypatch):
    """Sends every call through one of the two searches."""
    monkeypatch.setattr(neighbours, "_is_tree_faster", lambda queries, points: request.param == "tree")
    return request.param == "tree"


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("shape", ["random", "grid", "one place", "tiny"])
@pytest.mark.parametrize("num_neighbours", [1, 7, 60])
def test_finds_what_sorting_every_distance_finds(is_tree, shape, num_neighbours, dtype):
    points = make_points(shape, 60, dtype=dtype)
    queries = np.concatenate([points[:5], make_points("random", 6, seed=1, dtype=dtype)])
    distances, rows = nearest_neighbours(
        torch.tensor(queries)[None], torch.tensor(points)[None], num_neighbours
    )
    expected_distances, expected_rows = naive_neighbours(queries, points, num_neighbours)
    assert np.array_equal(rows[0], expected_rows)
    np.testing.assert_allclose(
        distances[0], expected_distances, rtol=3e-7
    )  # torch's root may be off by a digit


def test_the_tree_agrees_with_all_pairs_bit_for_bit_on_larger_clouds():
    points = torch.from_numpy(np.stack([make_points(shape, 900) for shape in ("random", "grid")]))
    queries = points[:, :300]
    for through_tree, through_pairs in zip(
        search_trees(queries, points, 16, None),
        all_pairs.search_all_pairs(queries, points, 16, None),
        strict=True,
    ):
        assert torch.equal(through_tree, through_pairs)


@pytest.mark.parametrize("num_neighbours", [1, 5])
def test_padding_is_never_returned(is_tree, num_neighbours):
    clouds = [make_points("random", size, seed=size) for size in (5, 20, 31)]
    points = torch.zeros(3, 31, 3)  # the queries surround the origin, where the padding lies
    for row, cloud in enumerate(clouds):
        points[row, : len(cloud)] = torch.from_numpy(cloud)
    queries = 0.1 * torch.randn(3, 8, 3, generator=torch.Generator().manual_seed(0))
    _, rows = nearest_neighbours(queries, points, num_neighbours, torch.tensor([5, 20, 31]))
    for row, cloud in enumerate(clouds):
        assert np.array_equal(rows[row], naive_neighbours(queries[row].numpy(), cloud, num_neighbours)[1])


def test_neighbours_move_with_a_permutation_of_the_points(is_tree):
    points = torch.from_numpy(make_points("random", 50))[None]
    order = torch.randperm(50, generator=torch.Generator().manual_seed(0))
    distances, rows = nearest_neighbours(points[:, :9], points, 6)
    permuted_distances, permuted_rows = nearest_neighbours(points[:, :9], points[:, order], 6)
    assert torch.equal(order[permuted_rows], rows)
    assert torch.equal(permuted_distances, distances)


def test_the_size_of_a_block_changes_nothing(monkeypatch):
    points = torch.from_numpy(np.stack([make_points("grid", 30, seed) for seed in range(5)]))
    whole = nearest_neighbours(points[:, :11], points, 4)
    for pairs in (1, 100, 700):
        monkeypatch.setattr(all_pairs, "_PAIRS_ON_CPU", pairs)
        for blocked, expected in zip(nearest_neighbours(points[:, :11], points, 4), whole, strict=True):
            assert torch.equal(blocked, expected)


def test_far_from_the_origin_no_digits_are_lost(is_tree):
    points = torch.from_numpy(make_points("random", 40))[None] / 64
    shifted = (points + 4096) - 4096  # representable next to 4096
    near, far = nearest_neighbours(shifted, shifted, 5), nearest_neighbours(shifted + 4096, shifted + 4096, 5)
    assert torch.equal(near[0], far[0])
    assert torch.equal(near[1], far[1])


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_coordinates_are_measured_in_float32(dtype):
    points = torch.from_numpy(make_points("random", 40))[None].to(dtype)
    distances, rows = nearest_neighbours(points, points, 5)
    expected_distances, expected_rows = nearest_neighbours(points.float(), points.float(), 5)
    assert torch.equal(distances, expected_distances)
    assert torch.equal(rows, expected_rows)


def test_large_clouds_take_the_tree_and_patches_do_not():
    assert neighbours._is_tree_faster(torch.empty(1, 8192, 3), torch.empty(1, 8192, 3))
    assert not neighbours._is_tree_faster(torch.empty(64, 64, 3), torch.empty(64, 1024, 3))


def test_no_queries_have_no_neighbours():
    distances, rows = nearest_neighbours(torch.empty(2, 0, 3), torch.zeros(2, 4, 3), 3)
    assert distances.shape == rows.shape == (2, 0, 3)


@pytest.mark.parametrize("num_neighbours", [0, 6])
def test_too_many_neighbours_are_an_error_that_names_the_number(num_neighbours):
    with pytest.raises(DataError, match="between 1 and 5"):
        nearest_neighbours(torch.zeros(2, 3, 3), torch.zeros(2, 9, 3), num_neighbours, torch.tensor([9, 5]))
