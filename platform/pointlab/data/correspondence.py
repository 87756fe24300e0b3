"""Where a picture shows the points of a cloud, and why it does not show the others.

Poses map stored points, so neither resampling nor normalisation moves a point within a picture. What hides
a point is told by the depth picture of the same view, whose pixels are carried over to the colour camera;
without one, as for LiDAR and rendered objects, by the cloud's own points.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum

import numpy as np
import torch
from jaxtyping import Float32, Float64, Int64, UInt8
from torch import Tensor

from pointlab.data.pictures import decode_depth
from pointlab.data.sample import Picture, View
from pointlab.geometry.cameras import depth_to_points, is_inside, project, transform
from pointlab.geometry.occlusion import ZBuffer, cell_for, is_uncovered, slack_of, slant_of, z_buffer

UNSEEN = -1
"""In the place of a column and of a row; what is seen lies at -0.5 or beyond."""


class Reason(IntEnum):
    """What a picture knows of a point."""

    SEEN = 0
    BEHIND = 1
    """It lies behind the camera."""
    OUTSIDE = 2
    """It is before the camera, and outside the picture."""
    HIDDEN = 3
    """Something nearer covers it."""
    IN_FRONT = 4
    """Nothing was measured so near there: it is of another moment, or noise."""
    UNMEASURED = 5
    """No depth was measured there, so nobody knows what the picture shows."""
    NO_CAMERA = 6
    """Nobody knows from where the picture was taken."""


@dataclass(frozen=True)
class Seen:
    """(column, row) of each point in a picture, real-valued and `UNSEEN` where it is not shown, and why."""

    pixels: Float32[np.ndarray, "points 2"]
    reasons: UInt8[np.ndarray, " points"]

    @property
    def counts(self) -> Mapping[Reason, int]:
        """How many points there are of each reason."""
        counts = np.bincount(self.reasons, minlength=len(Reason)).tolist()
        return {reason: counts[reason] for reason in Reason}


def seen_pixels(points: Float32[np.ndarray, "points 3"], view: View) -> Seen:
    """Where the colour picture of `view` shows each of these stored points."""
    if view.colour is None or not view.colour.has_camera:
        return _of_reasons(np.full((len(points), 2), np.nan), np.full(len(points), Reason.NO_CAMERA))
    camera, pose = view.colour.camera, torch.from_numpy(view.colour.pose)
    wide = torch.from_numpy(points.astype(np.float64))
    pixels, depth = project(wide, camera, pose)
    pixels = pixels.float().double()  # as they are kept: what lies inside must stay there
    reasons = torch.where(depth > 0, int(Reason.OUTSIDE), int(Reason.BEHIND))
    places = torch.nonzero(is_inside(pixels, depth, camera)).squeeze(1)
    if view.depth is not None and view.depth.has_camera:
        reasons[places] = _by_depth(pixels[places], depth[places], view.colour, view.depth)
    else:
        is_seen = is_uncovered(transform(wide[places], pose))
        reasons[places] = torch.where(is_seen, int(Reason.SEEN), int(Reason.HIDDEN))
    return _of_reasons(pixels.numpy(), reasons.numpy())


def _of_reasons(pixels: Float64[np.ndarray, "points 2"], reasons: Int64[np.ndarray, " points"]) -> Seen:
    is_seen = (reasons == Reason.SEEN)[:, None]
    return Seen(np.where(is_seen, pixels, UNSEEN).astype(np.float32), reasons.astype(np.uint8))


def _by_depth(
    pixels: Float64[Tensor, "points 2"], depth: Float64[Tensor, " points"], colour: Picture, measured: Picture
) -> Int64[Tensor, " points"]:
    """The reason of each point that lies in the picture, by what was measured there."""
    first, last = (buffer.at(pixels) for buffer in _span_measured(colour, measured))
    reasons = torch.full(depth.shape, int(Reason.SEEN))
    reasons[depth > last] = int(Reason.HIDDEN)
    reasons[depth < first] = int(Reason.IN_FRONT)
    reasons[last.isinf()] = int(Reason.UNMEASURED)
    return reasons


def _span_measured(colour: Picture, measured: Picture) -> tuple[ZBuffer, ZBuffer]:
    """The first and the last depth, from the colour camera, at which its pixels show what was measured.

    Where both cameras are one, pixels are those of the depth picture; otherwise its points are carried over.
    """
    depth = torch.from_numpy(decode_depth(measured.content, measured.unit))
    spacing = max(1.0, colour.camera.fx / measured.camera.fx, colour.camera.fy / measured.camera.fy)
    is_shared = measured.camera == colour.camera and np.array_equal(measured.pose, colour.pose)
    cell = 1 if is_shared else cell_for(spacing)
    slack = (slack_of(depth) + slant_of(depth, cell / spacing))[depth > 0]
    points, pixels = depth_to_points(depth, measured.camera, torch.from_numpy(measured.pose))
    distance = depth[depth > 0]
    if not is_shared:
        pixels, distance = project(points, colour.camera, torch.from_numpy(colour.pose))
    is_there = is_inside(pixels, distance, colour.camera)
    pixels, distance, slack = pixels[is_there], distance[is_there], slack[is_there]
    first = z_buffer(pixels, distance - slack, colour.camera, cell)
    return first, z_buffer(pixels, distance + slack, colour.camera, cell)
