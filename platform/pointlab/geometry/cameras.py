"""Pinhole cameras: where a point lands in a picture, and where a pixel with a depth lies in space.

Camera coordinates are those of computer vision: x right, y down, z forward. A pixel is (column, row) with
its centre at integers, as in the exports of 7-Scenes and ScanNet, so pixel (0, 0) covers -0.5 to 0.5. A pose
is the 4x4 matrix `camera_from_points`; it may hold a scale, as the poses of normalised clouds do.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Float64
from torch import Tensor

UP = (0.0, 1.0, 0.0)
"""Clouds are y-up."""


@dataclass(frozen=True)
class Pinhole:
    """Intrinsics of a camera without distortion, in pixels."""

    width: int
    height: int
    fx: float
    fy: float
    cx: float
    cy: float

    def resized(self, width: int, height: int) -> "Pinhole":
        """The camera of this one's picture after resizing it.

        A picture ends half a pixel beyond its outermost centres, so it is there that scaling leaves the
        corner in place: c + 0.5 is scaled, not c.
        """
        across, down = width / self.width, height / self.height
        cx, cy = (self.cx + 0.5) * across - 0.5, (self.cy + 0.5) * down - 0.5
        return Pinhole(width, height, self.fx * across, self.fy * down, cx, cy)

    def cropped(self, left: int, top: int, width: int, height: int) -> "Pinhole":
        """The camera of a window of this one's picture, whose first pixel is (`left`, `top`)."""
        return Pinhole(width, height, self.fx, self.fy, self.cx - left, self.cy - top)


def centred_pinhole(width: int, height: int, field_of_view: float) -> Pinhole:
    """A camera with square pixels whose axis meets the middle of its picture.

    `field_of_view` is the angle, in radians, between the outer edges of the shorter side.
    """
    focal = min(width, height) / 2 / math.tan(field_of_view / 2)
    return Pinhole(width, height, focal, focal, (width - 1) / 2, (height - 1) / 2)


def look_at(
    eye: Float64[Tensor, "*views 3"], target: Float64[Tensor, "*#views 3"], up: Sequence[float] = UP
) -> Float64[Tensor, "*views 4 4"]:
    """Rigid poses (camera_from_points) of cameras at `eye` that see `target` in the middle and `up` upwards.

    The direction of view must not be that of `up`, which would leave the roll open.
    """
    forward = torch.nn.functional.normalize(target - eye, dim=-1)
    upwards = torch.tensor(up, dtype=eye.dtype, device=eye.device).expand_as(forward)
    right = torch.nn.functional.normalize(torch.linalg.cross(forward, upwards), dim=-1)
    rotation = torch.stack([right, torch.linalg.cross(forward, right), forward], -2)
    pose = torch.eye(4, dtype=eye.dtype, device=eye.device).repeat(*eye.shape[:-1], 1, 1)
    pose[..., :3, :3] = rotation
    pose[..., :3, 3] = -(rotation @ eye.unsqueeze(-1)).squeeze(-1)
    return pose


def pose_after(
    camera_from_points: Float64[Tensor, "*views 4 4"], centre: Float64[Tensor, "3"], radius: float
) -> Float64[Tensor, "*views 4 4"]:
    """The poses for points that were stored as (point - `centre`) / `radius`.

    They hold the scale, so pixels and depths stay what they were, depths in the old unit of length.
    """
    points_from_stored = torch.eye(4, dtype=centre.dtype, device=centre.device)
    points_from_stored[:3, :3] *= radius
    points_from_stored[:3, 3] = centre
    return camera_from_points @ points_from_stored


def transform(points: Float[Tensor, "*points 3"], pose: Float[Tensor, "4 4"]) -> Float[Tensor, "*points 3"]:
    """Points moved by `pose`, each as if it were alone.

    Written out, because a matrix product groups its sums by the shape of the whole and by the number of
    threads.
    """
    x, y, z = points.unsqueeze(-1).unbind(-2)
    moved: Tensor = x * pose[:3, 0] + y * pose[:3, 1] + z * pose[:3, 2] + pose[:3, 3]
    return moved


def project(
    points: Float64[Tensor, "points 3"], camera: Pinhole, camera_from_points: Float64[Tensor, "4 4"]
) -> tuple[Float64[Tensor, "points 2"], Float64[Tensor, " points"]]:
    """Real-valued (column, row) of every point, and its depth along the optical axis.

    Points behind the camera have a depth of at most 0, and no meaningful pixel.
    """
    x, y, depth = transform(points, camera_from_points).unbind(1)
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
    return transform(torch.stack([x, y, depth], 1), torch.linalg.inv(camera_from_points))


def depth_to_points(
    depth: Float64[Tensor, "height width"], camera: Pinhole, camera_from_points: Float64[Tensor, "4 4"]
) -> tuple[Float64[Tensor, "points 3"], Float64[Tensor, "points 2"]]:
    """The points of all pixels with a depth, row by row, and their (column, row).

    What is 0, negative or not finite is no measurement.
    """
    is_measured = torch.isfinite(depth) & (depth > 0)
    pixels = is_measured.nonzero().flip(1).to(depth.dtype)
    return back_project(pixels, depth[is_measured], camera, camera_from_points), pixels


def is_inside(
    pixels: Float64[Tensor, "points 2"], depth: Float64[Tensor, " points"], camera: Pinhole
) -> Bool[Tensor, " points"]:
    """Which of these projections lie in the picture and in front of the camera."""
    column, row = pixels.unbind(1)
    is_across = (column >= -0.5) & (column < camera.width - 0.5)
    is_down = (row >= -0.5) & (row < camera.height - 0.5)
    return is_across & is_down & (depth > 0)
