"""Resampling and placing: which points of a cloud are kept, in which order, and in which coordinates."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

import numpy as np
import torch
from jaxtyping import Float32, Int64

from pointlab.data.sample import Cloud, Picture, View
from pointlab.geometry import farthest_point_sample
from pointlab.seeding import generator

Sampling = Literal["farthest", "random"]
SAMPLING_BLOCK = 64
"""Clouds sampled together: enough to amortise the loop, small enough for the processor's cache."""


def resample(
    clouds: Sequence[Cloud],
    ids: Sequence[int],
    num_points: int,
    sampling: Sampling = "farthest",
    voxel_size: float | None = None,
) -> list[Cloud]:
    """Each cloud thinned, ordered and cut to `num_points`; smaller clouds keep all their points.

    What becomes of a cloud depends on itself and, where points are drawn at random, on its id.
    """
    if voxel_size is not None:
        clouds = [cloud.take(first_in_voxels(cloud.points, voxel_size)) for cloud in clouds]
    if sampling == "farthest":
        return _in_farthest_order(clouds, num_points)
    orders = [
        generator("sampling", identity).permutation(len(c.points))
        for c, identity in zip(clouds, ids, strict=True)
    ]
    return [cloud.take(order[:num_points]) for cloud, order in zip(clouds, orders, strict=True)]


def first_in_voxels(points: Float32[np.ndarray, "points 3"], voxel_size: float) -> Int64[np.ndarray, " kept"]:
    """Rows of the first point in every occupied cell of a grid through the origin, in rising order."""
    cells = np.floor(points.astype(np.float64) / voxel_size).astype(np.int64)
    cells -= cells.min(0)
    spans = cells.max(0) + 1
    keys = (cells[:, 0] * spans[1] + cells[:, 1]) * spans[2] + cells[:, 2]
    return np.sort(np.unique(keys, return_index=True)[1])


def _in_farthest_order(clouds: Sequence[Cloud], num_points: int) -> list[Cloud]:
    sizes = [len(cloud.points) for cloud in clouds]
    by_size = sorted(range(len(clouds)), key=lambda position: sizes[position])
    large = [position for position in by_size if sizes[position] >= num_points]
    blocks = [large[first : first + SAMPLING_BLOCK] for first in range(0, len(large), SAMPLING_BLOCK)]
    blocks += [[position] for position in by_size if sizes[position] < num_points]
    result = list(clouds)
    for block in blocks:
        rows = _farthest_rows([clouds[position] for position in block], num_points)
        for position, taken in zip(block, rows, strict=True):
            result[position] = clouds[position].take(taken)
    return result


def _farthest_rows(clouds: list[Cloud], num_points: int) -> np.ndarray:
    """Rows of every cloud in farthest-point order, as many as the smallest of them has, or `num_points`."""
    sizes = torch.tensor([len(cloud.points) for cloud in clouds])
    dense = torch.zeros(len(clouds), int(sizes.max()), 3)
    for row, cloud in enumerate(clouds):
        dense[row, : len(cloud.points)] = torch.from_numpy(cloud.points)
    return farthest_point_sample(dense, min(num_points, int(sizes.min())), sizes).numpy()


def normalise(cloud: Cloud) -> Cloud:
    """The cloud centred on its mean and scaled so that its farthest point lies at radius 1; views follow."""
    centre = cloud.points.mean(0, dtype=np.float64).astype(np.float32)
    centred = cloud.points - centre
    radius = float(np.sqrt((centred.astype(np.float64) ** 2).sum(1).max()))
    if radius == 0:
        radius = 1.0
    original_from_stored = np.diag([radius, radius, radius, 1.0])
    original_from_stored[:3, 3] = centre
    views = tuple(_after(view, original_from_stored) for view in cloud.views)
    return replace(cloud, points=centred / np.float32(radius), views=views)


def _after(view: View, original_from_stored: np.ndarray) -> View:
    """The view as seen from stored points: its poses begin with the way back to the original ones."""

    def follow(picture: Picture | None) -> Picture | None:
        return None if picture is None else replace(picture, pose=picture.pose @ original_from_stored)

    return replace(view, colour=follow(view.colour), depth=follow(view.depth))
