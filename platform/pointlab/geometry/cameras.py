"""Pinhole cameras: where a point lands in a picture, and where a pixel with a depth lies in space.

Camera coordinates are those of computer vision: x right, y down, z forward. A pixel is (column, row) with
its centre at integers, as in the exports of 7-Scenes and ScanNet, so pixel (0, 0) covers -0.5 to 0.5. A pose
is the 4x4 matrix `camera_from_points`; it may hold a scale, as the poses of normalised clouds do.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float64
from torch import Tensor


@dataclass(frozen=True)
class Pinhole:
    """Intrinsics of a camera without distortion, in pixels."""

    width: int
    height: int
    fx: float
    fy: float
    cx: float
    cy: float


def project(
    points: Float64[Tensor, "points 3"], camera: Pinhole, camera_from_points: Float64[Tensor, "4 4"]
) -> tuple[Float64[Tensor, "points 2"], Float64[Tensor, " points"]]:
    """Real-valued (column, row) of every point, and its depth along the optical axis.

    Points behind the camera have a depth of at most 0, and no meaningful pixel.
    """
    x, y, depth = (points @ camera_from_points[:3, :3].T + camera_from_points[:3, 3]).unbind(1)
    return torch.stack([camera.fx * x / depth + camera.cx, camera.fy * y / depth + camera.cy], 1), depth


def back_project(
    pixels: Float64[Tensor, "points 2"],
    depth: Float64[Tensor, " points"],
    camera: Pinhole,
    camera_from_points: Float64[Tensor, "4 4"],
) -> Float64[Tensor, "points 3"]:
    """The points that `project` sends to these (column, row) with these depths."""
    x = (pixels[:, 0] - camera.cx) / camera.fx * depth
    y = (pixels[:, 1] - camera.cy) / camera.fy * depth
    points_from_camera: Tensor = torch.linalg.inv(camera_from_points)
    points: Tensor = torch.stack([x, y, depth], 1) @ points_from_camera[:3, :3].T + points_from_camera[:3, 3]
    return points
