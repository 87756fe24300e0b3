"""One cloud as the gallery shows it: few points, one size, and a colour for each.

Colours tell parts apart where points are labelled, the same part alike in every set; else they tell the
height. A cloud's first points are those that farthest-point sampling keeps, so a prefix is an even sample.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32, Int64

MAX_POINTS = 512
PARTS = ("#2f7fc4", "#e69f00", "#109f7c", "#d9582b", "#c46fa6", "#7d68c2", "#a8a117", "#4fb3e6")
"""Colours of parts: those of Okabe and Ito, shifted so that all show on white and on black."""
HEIGHTS = ("#3b4cc0", "#4f7bd9", "#5aa6d0", "#57c4a5", "#9bcb5c", "#dfb23a", "#e8803a", "#d9483b")
CLUTTER, RECEDING = "clutter", "#88919d"
"""The name of points that belong to no object, and their colour."""


@dataclass(frozen=True)
class LabelledCloud:
    """Points as a set stores them, y up, with the names of their parts where they have any."""

    points: Float32[np.ndarray, "points 3"]
    parts: tuple[str, ...] | None


@dataclass(frozen=True)
class View:
    """A cloud in the unit sphere, y up; `shades` index `colours`, which are named where they are parts."""

    points: Float32[np.ndarray, "points 3"]
    shades: Int64[np.ndarray, " points"]
    colours: tuple[str, ...]
    parts: tuple[str, ...] = ()


def view_together(clouds: Sequence[LabelledCloud | None]) -> tuple[View | None, ...]:
    """A view of each cloud, in which equal parts have equal colours; None stays None."""
    named = dict.fromkeys(part for cloud in clouds if cloud and cloud.parts for part in cloud.parts)
    objects = [part for part in named if part != CLUTTER]
    colours = {part: PARTS[number % len(PARTS)] for number, part in enumerate(objects)}
    colours |= {CLUTTER: RECEDING} if CLUTTER in named else {}
    return tuple(None if cloud is None else _view(cloud, colours) for cloud in clouds)


def _view(cloud: LabelledCloud, colours: dict[str, str]) -> View:
    points = _in_unit_sphere(cloud.points)
    if cloud.parts is None:
        shades = ((points[:, 1] + 1) / 2 * len(HEIGHTS)).astype(np.int64).clip(0, len(HEIGHTS) - 1)
        return View(points, shades, HEIGHTS)
    shades = np.array([list(colours).index(part) for part in cloud.parts])
    return View(points, shades, tuple(colours.values()), tuple(colours))


def _in_unit_sphere(points: Float32[np.ndarray, "points 3"]) -> Float32[np.ndarray, "points 3"]:
    """The cloud around the middle of its box, as large as fits: for the eye, not for a network."""
    centred = points - (points.min(0) + points.max(0)) / 2
    radius = float(np.linalg.norm(centred, axis=1).max()) or 1.0
    scaled: np.ndarray = np.round(centred / radius, 3).astype(np.float32)
    return scaled
