"""What an RGB-D camera records: a depth image with the faults of real ones, a colour image by another lens,
and the cloud that the frames of several views make together.
"""

import math
from dataclasses import dataclass, fields, replace

import numpy as np
import torch
from jaxtyping import Bool, Float64, Int64
from torch import Tensor

from pointlab.data.builtin.optics import GRAZING_COSINE
from pointlab.data.builtin.primitives import Points
from pointlab.data.builtin.rooms.scene import Scene, Sight
from pointlab.data.builtin.sensors import depth_noise
from pointlab.data.pictures import decode_colour, decode_depth, encode_colour, encode_depth
from pointlab.data.sample import Picture, View
from pointlab.geometry.cameras import Pinhole, centred_pinhole, depth_to_points, is_inside, look_at, project

UNIT = 0.001
"""Depth images count millimetres, as those of most sensors do."""
RANGE = (0.4, 5.0)
"""Metres between which a structured-light sensor measures."""
DEPTH_FIELD, COLOUR_FIELD = math.radians(46), math.radians(56)
"""Heights of the two fields of view; the colour lens is the wider, so that most points have a colour."""
JUMP = 0.05
"""Relative step of depth from a pixel to its neighbour that is an edge."""
EDGE_LOSS, LOSS = 0.6, 0.005
"""Shares of pixels without a return, at edges and elsewhere."""
HIDDEN = 0.03
"""Relative depth by which a point lies behind what the colour camera sees, if it is hidden from it."""


@dataclass(frozen=True)
class Rig:
    """Two cameras that are bolted together, `colour_from_depth` apart."""

    depth: Pinhole
    colour: Pinhole
    colour_from_depth: Float64[np.ndarray, "4 4"]


@dataclass(frozen=True)
class Recording:
    """One view, and what its two cameras truly saw."""

    view: View
    by_depth: Sight
    by_colour: Sight


@dataclass(frozen=True)
class Frame:
    """The points of one view: places by the depth image, true normals and labels, colours by the picture."""

    points: Points
    normals: Points
    colours: Points
    labels: Int64[np.ndarray, " points"]

    def take(self, is_taken: Bool[np.ndarray, " points"]) -> "Frame":
        """The points that `is_taken` says, in their order."""
        return Frame(*(getattr(self, field.name)[is_taken] for field in fields(self)))


def make_rig(width: int, height: int) -> Rig:
    """A depth camera, and a colour camera 5 cm to its right that squints by a degree; axes are off-centre."""
    depth, colour = centred_pinhole(width, height, DEPTH_FIELD), centred_pinhole(width, height, COLOUR_FIELD)
    depth = replace(depth, cx=depth.cx + 0.012 * width, cy=depth.cy - 0.008 * height)
    colour = replace(colour, fy=1.004 * colour.fy, cx=colour.cx - 0.006 * width, cy=colour.cy + 0.01 * height)
    place = torch.tensor([0.05, 0.001, -0.002], dtype=torch.float64)
    ahead = torch.tensor([0.05 - 0.035, 0.01, 2.0], dtype=torch.float64)
    # in camera coordinates, where y points down
    return Rig(depth, colour, look_at(place, ahead, up=(0.005, -1.0, 0.0)).numpy())


def record(
    scene: Scene,
    rig: Rig,
    pose: Float64[np.ndarray, "4 4"],
    *,
    name: str,
    noise_scale: float,
    generator: np.random.Generator,
) -> Recording:
    """A view from `pose`, that of the depth camera; `noise_scale` multiplies the noise of its depth."""
    colour_pose = rig.colour_from_depth @ pose
    by_depth, by_colour = scene.look(rig.depth, pose), scene.look(rig.colour, colour_pose)
    measured = _measure(by_depth, rig.depth, pose, noise_scale, generator)
    painted = scene.colours(by_colour).reshape(rig.colour.height, rig.colour.width, 3)
    depth = Picture(encode_depth(measured, UNIT), rig.depth, pose, UNIT)
    return Recording(
        View(name, Picture(encode_colour(painted), rig.colour, colour_pose), depth), by_depth, by_colour
    )


def make_frame(scene: Scene, recording: Recording) -> Frame:
    """The points of a recording, as whoever opens its pictures finds them.

    Those that the colour camera does not see, for they are hidden from it or beside its picture, are
    left out.
    """
    depth, colour = recording.view.depth, recording.view.colour
    assert depth is not None
    assert colour is not None
    points, pixels = depth_to_points(
        torch.from_numpy(decode_depth(depth.content, UNIT)), depth.camera, torch.from_numpy(depth.pose)
    )
    rows = _flat(pixels, depth.camera)
    places, far = project(points, colour.camera, torch.from_numpy(colour.pose))
    is_seen = is_inside(places, far, colour.camera)
    # the first pixel stands in for those that are left out
    hits = _flat(torch.where(is_seen[:, None], places.round(), 0), colour.camera)
    is_near = far.numpy() < recording.by_colour.depth[hits] * (1 + HIDDEN)
    return Frame(
        points=points.numpy(),
        normals=recording.by_depth.normals[rows],
        colours=decode_colour(colour.content).reshape(-1, 3)[hits] / 255,
        labels=scene.semantics[recording.by_depth.instances[rows]],
    ).take(is_seen.numpy() & is_near)


def _flat(pixels: Float64[Tensor, "points 2"], camera: Pinhole) -> Int64[np.ndarray, " points"]:
    """Position of each (column, row) in a picture whose rows are laid end to end."""
    return (pixels[:, 1] * camera.width + pixels[:, 0]).long().numpy()


def _measure(
    seen: Sight,
    camera: Pinhole,
    pose: Float64[np.ndarray, "4 4"],
    noise_scale: float,
    generator: np.random.Generator,
) -> Float64[np.ndarray, "height width"]:
    """The depth image: noise along the rays, and 0 where nothing returns."""
    rays = np.linalg.inv(pose)[:3, 3] - seen.points
    cosine = (rays * seen.normals).sum(1) / np.linalg.norm(rays, axis=1)
    is_lost = (cosine < GRAZING_COSINE) | (generator.random(len(cosine)) < LOSS)
    is_edge = _edges(seen.depth.reshape(camera.height, camera.width)).ravel()
    is_lost |= is_edge & (generator.random(len(cosine)) < EDGE_LOSS)
    deviation = depth_noise(seen.depth, np.maximum(cosine, GRAZING_COSINE))
    depth = seen.depth + noise_scale * deviation * generator.standard_normal(len(cosine))
    is_lost |= (depth < RANGE[0]) | (depth > RANGE[1])
    return np.where(is_lost, 0.0, depth).reshape(camera.height, camera.width)


def _edges(depth: Float64[np.ndarray, "height width"]) -> Bool[np.ndarray, "height width"]:
    """Pixels beside a step in depth, on its far or its near side."""
    is_edge = np.zeros(depth.shape, dtype=bool)
    is_step = np.abs(np.diff(depth, axis=0)) > JUMP * depth[1:]
    is_edge[1:] |= is_step
    is_edge[:-1] |= is_step
    is_step = np.abs(np.diff(depth, axis=1)) > JUMP * depth[:, 1:]
    is_edge[:, 1:] |= is_step
    is_edge[:, :-1] |= is_step
    return is_edge
