"""What a segmentation leaves around an object: a piece of what it stands on, a piece of a neighbour."""

import numpy as np
from jaxtyping import Float64

from pointlab.data.builtin.objects import CLASSES
from pointlab.data.builtin.objects.variety import between, pick
from pointlab.data.builtin.primitives import box
from pointlab.data.builtin.surfels import Surfels

SUPPORT_SURFELS = 2048
NEIGHBOUR_SURFELS = 2048
"""As dense as the object itself, so that clutter hides what is behind it."""


def support(
    points: Float64[np.ndarray, "points 3"], label: int, margin: float, generator: np.random.Generator
) -> Surfels:
    """A slab whose top is the plane y = 0: the floor or a table around the footprint of `points`.

    It ends up to `margin` (metres) beyond the footprint, on each side at another place, as a table's edge
    or a crop does.
    """
    low, high = points[:, [0, 2]].min(0), points[:, [0, 2]].max(0)
    low, high = low - margin * generator.random(2), high + margin * generator.random(2)
    (width, depth), (x, z) = high - low, (low + high) / 2
    thickness = 0.3 * margin
    placed, normals = box(float(width), thickness, float(depth)).sample(SUPPORT_SURFELS, generator)
    return Surfels(placed + np.array([x, -thickness / 2, z]), normals, np.full(SUPPORT_SURFELS, label))


def neighbour(
    points: Float64[np.ndarray, "points 3"],
    label: int,
    eye: Float64[np.ndarray, "3"],
    generator: np.random.Generator,
) -> Surfels:
    """A fragment of another object that stands beside or behind `points`, as seen from `eye`.

    The other object has a similar size; what lies farther than a crop around `points` is cut away, which
    may leave nothing of it.
    """
    other = CLASSES[pick(generator, tuple(CLASSES))](generator)
    placed, normals, _ = other.sample(NEIGHBOUR_SURFELS, generator)
    reach, other_reach = _reach(points), _reach(placed)
    scale = reach / other_reach * between(generator, 0.6, 1.2)
    # never between the object and the sensor, so that the object is always seen
    direction = np.arctan2(eye[0], eye[2]) + np.radians(between(generator, 70, 290))
    distance = (reach + scale * other_reach) * between(generator, 0.7, 1.0)
    placed = scale * placed + distance * np.array([np.sin(direction), 0, np.cos(direction)])
    top = 1.1 * points[:, 1].max()
    is_kept = (np.hypot(placed[:, 0], placed[:, 2]) < 1.15 * reach) & (placed[:, 1] < top)
    rows = np.flatnonzero(is_kept)
    return Surfels(placed[rows], normals[rows], np.full(len(rows), label))


def _reach(points: Float64[np.ndarray, "points 3"]) -> float:
    """Horizontal distance of the farthest point from the y axis."""
    return float(np.hypot(points[:, 0], points[:, 2]).max())
