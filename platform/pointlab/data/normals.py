"""Normals for clouds that come without: estimated from all points of the source, before any sampling."""

from dataclasses import replace

import torch

from pointlab.data.sample import Cloud
from pointlab.geometry import estimate_normals

SPAN_A_PLANE = 3
"""The fewest points that normals can be estimated from."""


def with_normals(cloud: Cloud, num_neighbours: int | None) -> Cloud:
    """The cloud itself if it has normals or none are wanted (None), else one with estimated normals.

    A cloud of fewer than `num_neighbours` points, but at least three, uses all that it has. One cloud is
    looked at at a time, so that the result depends on it alone.
    """
    if cloud.normals is not None or num_neighbours is None:
        return cloud
    points = torch.from_numpy(cloud.points).unsqueeze(0)
    normals = estimate_normals(points, min(num_neighbours, len(cloud.points)))
    return replace(cloud, normals=normals.squeeze(0).numpy())
