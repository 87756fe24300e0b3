"""Corrupted clouds of which too few points are left for a network: they repeat the points that they have.

A suite drops up to three quarters of a cloud's points, and a cloud from a sensor may have a few dozen to
begin with, while a network of patches samples a fixed number of centres. Points are repeated in their order,
as often as it takes: none is made up, and networks that take maxima over points see the same cloud.
"""

from collections.abc import Iterable, Iterator
from dataclasses import replace

import torch

from pointlab.data.sample import PointBatch


def with_at_least(batches: Iterable[PointBatch], num_points: int) -> Iterator[PointBatch]:
    """The batches; clouds of fewer points than this, at least one, repeat them up to it.

    A batch of large enough clouds comes out as it is. Of the points nothing but their places is kept, as
    corrupted clouds have nothing else.
    """
    for batch in batches:
        yield _repeating(batch, num_points) if int(batch.counts.min()) < num_points else batch


def _repeating(batch: PointBatch, num_points: int) -> PointBatch:
    counts = batch.counts.clamp(min=num_points)
    places = torch.arange(max(num_points, batch.points.shape[1]), device=counts.device)
    rows = places % batch.counts.unsqueeze(1).clamp(min=1)
    points = batch.points.gather(1, rows.unsqueeze(-1).expand(-1, -1, 3))
    is_real = places < counts.unsqueeze(1)
    return replace(batch, points=points * is_real.unsqueeze(-1), counts=counts)
