"""Corrupted clouds that lose most of their points are still shown to networks that need some."""

import torch

from pointlab.data.corruptions import with_at_least
from pointlab.data.sample import PointBatch


def batch_of(*counts: int) -> PointBatch:
    points = torch.zeros(len(counts), max(counts), 3)
    for row, count in enumerate(counts):
        points[row, :count] = torch.arange(1, 3 * count + 1, dtype=torch.float32).reshape(count, 3)
    return PointBatch(points, torch.tensor(counts), torch.arange(len(counts)))


def test_a_cloud_of_too_few_points_repeats_them_in_their_order() -> None:
    batch = batch_of(2, 5)

    (shown,) = with_at_least([batch], 5)

    assert shown.counts.tolist() == [5, 5]
    assert torch.equal(shown.points[0], batch.points[0][[0, 1, 0, 1, 0]])
    assert torch.equal(shown.points[1], batch.points[1])


def test_larger_clouds_keep_their_padding() -> None:
    batch = batch_of(2, 6)

    (shown,) = with_at_least([batch], 4)

    assert shown.counts.tolist() == [4, 6]
    assert torch.equal(shown.points[0, 4:], torch.zeros(2, 3))
    assert torch.equal(shown.points[1], batch.points[1])


def test_a_batch_of_small_clouds_grows() -> None:
    batch = batch_of(2, 3)

    (shown,) = with_at_least([batch], 7)

    assert torch.equal(shown.points[0], batch.points[0][[0, 1, 0, 1, 0, 1, 0]])
    assert torch.equal(shown.points[1], batch.points[1][[0, 1, 2, 0, 1, 2, 0]])


def test_large_enough_clouds_come_out_as_they_are() -> None:
    batch = batch_of(4, 6)

    (shown,) = with_at_least([batch], 4)

    assert shown is batch
