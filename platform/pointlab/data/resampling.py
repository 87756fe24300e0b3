"""Resampling and placing: which points of a cloud are kept, in which order, and in which coordinates."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

import numpy as np
import torch
from jaxtyping import Float32, Int64

from pointlab.data.sample import Cloud, Picture, View
from pointlab.geometry import farthest_point_sample
from pointlab.geometry.cameras import pose_after
from pointlab.seeding import generator

Sampling = Literal["farthest", "random"]
NORMAL_TOLERANCE = 0.01
"""What rounding to two digits costs: such normals stay as they are."""
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
    by_size = sorted(range(len(clouds)), key=lambda position: len(clouds[position].points))
    result = list(clouds)
    for first in range(0, len(by_size), SAMPLING_BLOCK):
        block = by_size[first : first + SAMPLING_BLOCK]
        for position, rows in zip(
            block, _farthest_rows([clouds[at] for at in block], num_points), strict=True
        ):
            result[position] = clouds[position].take(rows)
    return result


def _farthest_rows(clouds: Sequence[Cloud], num_points: int) -> list[Int64[np.ndarray, " taken"]]:
    """Rows of each cloud in farthest-point order, `num_points` of them or all that it has.

    Shorter clouds are filled up with copies of their first point, which is chosen first: copies of what is
    chosen come last, in the order of their rows, so that no cloud's own rows come after them.
    """
    sizes = [len(cloud.points) for cloud in clouds]
    dense = torch.empty(len(clouds), max(sizes), 3)
    for filled, cloud in zip(dense, clouds, strict=True):
        filled[:] = torch.from_numpy(cloud.points[:1])
        filled[: len(cloud.points)] = torch.from_numpy(cloud.points)
    orders = farthest_point_sample(dense, min(num_points, max(sizes))).numpy()
    return [order[: min(size, num_points)] for order, size in zip(orders, sizes, strict=True)]


def with_unit_normals(cloud: Cloud) -> tuple[Cloud, int]:
    """The cloud with normals of length 1, and how many of them were not; length 0 stays: it is not known."""
    if cloud.normals is None:
        return cloud, 0
    lengths = np.linalg.norm(cloud.normals.astype(np.float64), axis=1)
    uneven = (np.abs(lengths - 1) > NORMAL_TOLERANCE) & (lengths > 0)
    if not uneven.any():
        return cloud, 0
    normals = cloud.normals.copy()
    normals[uneven] = (normals[uneven] / lengths[uneven, None]).astype(np.float32)
    return replace(cloud, normals=normals), int(uneven.sum())


def normalise(cloud: Cloud) -> Cloud:
    """The cloud centred on its mean and scaled so that its farthest point lies at radius 1; views follow."""
    centre = cloud.points.mean(0, dtype=np.float64).astype(np.float32)
    centred = cloud.points - centre
    radius = float(np.sqrt((centred.astype(np.float64) ** 2).sum(1).max()))
    if radius == 0:
        radius = 1.0
    views = tuple(_after(view, centre, radius) for view in cloud.views)
    return replace(cloud, points=centred / np.float32(radius), views=views)


def _after(view: View, centre: Float32[np.ndarray, "3"], radius: float) -> View:
    """The view as seen from stored points."""

    def follow(picture: Picture | None) -> Picture | None:
        if picture is None:
            return None
        pose = pose_after(torch.from_numpy(picture.pose), torch.from_numpy(centre).double(), radius)
        return replace(picture, pose=pose.numpy())

    return replace(view, colour=follow(view.colour), depth=follow(view.depth))
