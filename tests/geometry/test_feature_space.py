"""Neighbours in feature space against a sort of every distance, measured in float64 from differences."""

import pytest
import torch

from pointlab.errors import DataError
from pointlab.geometry import all_pairs
from pointlab.geometry.feature_space import feature_neighbours

RANDOM = torch.randn(2, 50, 9, generator=torch.Generator().manual_seed(0))
GRID = torch.randint(3, (2, 50, 4), generator=torch.Generator().manual_seed(0)).float()
"""Full of ties and copies, and every product is a whole number: nothing is rounded."""


def naive(features, num_neighbours):
    """Every distance of one cloud, sorted by value and then by row."""
    squared = (features.double()[:, None] - features.double()[None]).square().sum(2)
    return squared.argsort(dim=1, stable=True)[:, :num_neighbours]


@pytest.mark.parametrize("features", [RANDOM, RANDOM.double(), GRID], ids=["random", "float64", "grid"])
@pytest.mark.parametrize("num_neighbours", [1, 7, 50])
def test_finds_what_sorting_every_distance_finds(features, num_neighbours):
    rows = feature_neighbours(features, num_neighbours)
    assert torch.equal(rows, torch.stack([naive(cloud, num_neighbours) for cloud in features]))


def test_padding_is_never_returned_and_clouds_do_not_see_each_other():
    counts = torch.tensor([50, 12])
    padded = torch.cat([RANDOM, torch.zeros(2, 9, 9)], dim=1)
    padded[1, 12:] = padded[1, 0]  # as near as can be
    rows = feature_neighbours(padded, 6, counts)
    for cloud, count in enumerate(counts.tolist()):
        assert torch.equal(rows[cloud, :count], naive(padded[cloud, :count], 6))
        assert not rows[cloud, count:].any()


def test_the_size_of_a_block_changes_nothing(monkeypatch):
    whole = feature_neighbours(GRID, 8)
    for pairs in (1, 700):
        monkeypatch.setattr(all_pairs, "_PAIRS_ON_CPU", pairs)
        assert torch.equal(feature_neighbours(GRID, 8), whole)


def test_far_from_the_origin_no_digits_are_lost():
    shifted = (RANDOM / 64 + 4096) - 4096  # representable next to 4096
    assert torch.equal(feature_neighbours(shifted + 4096, 8), feature_neighbours(shifted, 8))


def test_a_point_is_its_own_nearest_neighbour_however_long_its_features_are():
    rows = feature_neighbours(1e6 + RANDOM, 3)[..., 0]
    assert torch.equal(rows, torch.arange(50).expand(2, 50))


def test_mixed_precision_does_not_reach_the_distances():
    with torch.autocast("cpu", torch.bfloat16):
        rows = feature_neighbours(RANDOM, 8)
    assert torch.equal(rows, feature_neighbours(RANDOM, 8))


def test_half_precision_features_are_measured_in_float32():
    halves = RANDOM.bfloat16()
    assert torch.equal(feature_neighbours(halves, 8), feature_neighbours(halves.float(), 8))


@pytest.mark.parametrize("num_neighbours", [0, 6])
def test_too_many_neighbours_are_an_error_that_names_the_number(num_neighbours):
    with pytest.raises(DataError, match="between 1 and 5"):
        feature_neighbours(torch.zeros(2, 9, 4), num_neighbours, torch.tensor([9, 5]))
