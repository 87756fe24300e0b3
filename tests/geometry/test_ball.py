"""Ball query against a loop over every point, row by row."""

import numpy as np
import pytest
import torch

from pointlab.errors import ConfigError
from pointlab.geometry import all_pairs, ball_neighbours


def make_points(num_points, seed=0):
    return np.random.default_rng(seed).normal(size=(num_points, 3)).astype(np.float32)


def naive_ball(points, centre, radius, num_neighbours):
    """Rows inside the ball in ascending order, cut off or filled up with the first."""
    x, y, z = ((points - points[centre]) ** 2).T
    inside = [row for row in range(len(points)) if (x + y + z)[row] < np.float32(radius**2)]
    return (inside + [inside[0]] * num_neighbours)[:num_neighbours]


@pytest.mark.parametrize("radius", [1e-3, 0.6, 1.2, 10.0])
@pytest.mark.parametrize("num_neighbours", [1, 6, 50])
def test_finds_the_first_rows_within_the_radius(radius, num_neighbours):
    points = make_points(40)
    centres = [7, 0, 39, 7]
    rows = ball_neighbours(torch.tensor(points)[None], torch.tensor([centres]), radius, num_neighbours)
    assert rows.tolist() == [[naive_ball(points, centre, radius, num_neighbours) for centre in centres]]


def test_padding_is_never_returned():
    lengths = [3, 20, 31]
    points = torch.zeros(3, 31, 3)  # every ball reaches the origin, where the padding lies
    for row, length in enumerate(lengths):
        points[row, :length] = torch.from_numpy(make_points(length, seed=row))
    centres = torch.tensor([[0, 2], [19, 0], [30, 4]])
    rows = ball_neighbours(points, centres, 9.0, 25, torch.tensor(lengths))
    for row, length in enumerate(lengths):
        cloud = points[row, :length].numpy()
        assert rows[row].tolist() == [naive_ball(cloud, centre, 9.0, 25) for centre in centres[row].tolist()]


def test_a_point_at_the_radius_itself_is_outside():
    points = torch.tensor([[[0.0, 0, 0], [0.5, 0, 0], [0.49, 0, 0]]])
    assert ball_neighbours(points, torch.tensor([[0]]), 0.5, 3).tolist() == [[[0, 2, 0]]]


def test_far_from_the_origin_no_digits_are_lost():
    points = torch.from_numpy(make_points(40))[None] / 64
    shifted = (points + 4096) - 4096  # representable next to 4096
    centres = torch.arange(40)[None]
    near, far = (ball_neighbours(cloud, centres, 0.02, 8) for cloud in (shifted, shifted + 4096))
    assert torch.equal(near, far)


def test_the_size_of_a_block_changes_nothing(monkeypatch):
    points = torch.from_numpy(np.stack([make_points(30, seed) for seed in range(5)]))
    centres = torch.arange(11).repeat(5, 1)
    whole = ball_neighbours(points, centres, 1.0, 4)
    for pairs in (1, 100, 700):
        monkeypatch.setattr(all_pairs, "_PAIRS_ON_CPU", pairs)
        assert torch.equal(ball_neighbours(points, centres, 1.0, 4), whole)


def test_a_centre_is_in_its_ball_whatever_the_numbers():
    """A cloud that is not a number reaches the loop's check of losses, which names its sample."""
    points = torch.from_numpy(make_points(5))[None]
    assert ball_neighbours(points, torch.tensor([[3, 1]]), 1e-30, 2).tolist() == [[[3, 3], [1, 1]]]
    points[0, 3] = torch.nan
    assert ball_neighbours(points, torch.tensor([[3]]), 9.0, 2).tolist() == [[[3, 3]]]


@pytest.mark.parametrize(("radius", "num_neighbours"), [(0.0, 4), (-1.0, 4), (0.5, 0)])
def test_a_ball_that_can_hold_nothing_is_refused(radius, num_neighbours):
    with pytest.raises(ConfigError, match="a positive radius and at least one neighbour"):
        ball_neighbours(torch.zeros(1, 5, 3), torch.zeros(1, 2, dtype=torch.int64), radius, num_neighbours)
