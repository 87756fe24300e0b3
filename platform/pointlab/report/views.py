"""One cloud as a page shows it: few points, one size, and a colour for each.

Colours tell parts apart where points are labelled, the same part alike in every set; else they are the
points' own, or tell the height. A cloud's first points are those that sampling keeps, so a prefix is an even
sample.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float32, Int64

MAX_POINTS = 512
OF_FEW_PARTS = ("#2f7fc4", "#e69f00", "#109f7c", "#d9582b", "#c46fa6", "#7d68c2", "#a8a117", "#4fb3e6")
"""Those of Okabe and Ito, shifted so that all show on white and on black."""
PARTS = (
    *OF_FEW_PARTS,
    *("#8c6d4f", "#6aa84f", "#b0413e", "#3aa6a6", "#9c7bb8", "#c98f6b", "#5b7f95", "#d17c9b"),
    *("#7a8f2a", "#4f66c9", "#c7b24a", "#3f8f5f"),
)
"""Colours of parts: a set has up to eight that everybody can tell apart; scenes have more classes."""
HEIGHTS = ("#3b4cc0", "#4f7bd9", "#5aa6d0", "#57c4a5", "#9bcb5c", "#dfb23a", "#e8803a", "#d9483b")
CLUTTER, RECEDING = "clutter", "#88919d"
"""The name of points that belong to no object, and their colour."""
LEVELS = 5
"""Levels that each channel of a point's own colour is rounded to: 125 colours tell a sofa from a wall."""


@dataclass(frozen=True)
class LabelledCloud:
    """Points as a set stores them, y up, with names of their parts and colours, where they have any."""

    points: Float32[np.ndarray, "points 3"]
    parts: tuple[str, ...] | None
    colours: Float32[np.ndarray, "points 3"] | None = None


@dataclass(frozen=True)
class View:
    """A cloud in the unit sphere, y up; `shades` index `colours`, which are named where they are parts."""

    points: Float32[np.ndarray, "points 3"]
    shades: Int64[np.ndarray, " points"]
    colours: tuple[str, ...]
    parts: tuple[str, ...] = ()

    def first(self, num_points: int) -> "View":
        """The view with its first points alone."""
        return replace(self, points=self.points[:num_points], shades=self.shades[:num_points])


def view_together(
    clouds: Sequence[LabelledCloud | None], part_names: Iterable[str] = ()
) -> tuple[View | None, ...]:
    """A view of each cloud, in which equal parts have equal colours; None stays None.

    With the names of all parts that there are, colours are also those of every other view made with them.
    """
    present = [part for cloud in clouds if cloud and cloud.parts for part in dict.fromkeys(cloud.parts)]
    every = part_colours([*part_names, *present])
    colours = {part: colour for part, colour in every.items() if part in set(present)}
    return tuple(None if cloud is None else _view(cloud, colours) for cloud in clouds)


def part_colours(parts: Iterable[str]) -> dict[str, str]:
    """A colour for each part, in the order of their first mention; clutter recedes, and comes last.

    Parts of objects, such as chair/leg, are counted for each category by itself: none has many.
    """
    named = dict.fromkeys(parts)
    counts: Counter[str] = Counter()
    colours = {}
    for part in named:
        if part != CLUTTER:
            category = part.rpartition("/")[0]
            colours[part] = PARTS[counts[category] % len(PARTS)]
            counts[category] += 1
    return colours | ({CLUTTER: RECEDING} if CLUTTER in named else {})


def part_name(label: int, part_names: Sequence[str]) -> str:
    """The name of a point's label; of one that the set has no name for, its number."""
    if label < 0:
        return "no label"
    return part_names[label] if label < len(part_names) else f"part {label}"


def legend_of(views: Iterable[View | None]) -> list[tuple[str, str]]:
    """The parts in some views with their colours, without what stands before the last slash of a name."""
    parts = {
        part: colour
        for view in views
        if view is not None
        for part, colour in zip(view.parts, view.colours, strict=False)
    }
    return [(part.rpartition("/")[2], colour) for part, colour in parts.items()]


def _view(cloud: LabelledCloud, colours: dict[str, str]) -> View:
    points = _in_unit_sphere(cloud.points)
    if cloud.parts is not None:
        shades = np.array([list(colours).index(part) for part in cloud.parts])
        return View(points, shades, tuple(colours.values()), tuple(colours))
    if cloud.colours is not None:
        return View(points, *_own_colours(cloud.colours))
    shades = ((points[:, 1] + 1) / 2 * len(HEIGHTS)).astype(np.int64).clip(0, len(HEIGHTS) - 1)
    return View(points, shades, HEIGHTS)


def _own_colours(
    colours: Float32[np.ndarray, "points 3"],
) -> tuple[Int64[np.ndarray, " points"], tuple[str, ...]]:
    """The colours of points, rounded, as shades and the colours that these index."""
    levels = (colours * (LEVELS - 1)).round().clip(0, LEVELS - 1).astype(np.int64)
    present, shades = np.unique(levels, axis=0, return_inverse=True)
    values = present * 255 // (LEVELS - 1)
    return shades.reshape(-1), tuple(f"#{red:02x}{green:02x}{blue:02x}" for red, green, blue in values)


def _in_unit_sphere(points: Float32[np.ndarray, "points 3"]) -> Float32[np.ndarray, "points 3"]:
    """The cloud around the middle of its box, as large as fits: for the eye, not for a network."""
    centred = points - (points.min(0) + points.max(0)) / 2
    radius = float(np.linalg.norm(centred, axis=1).max()) or 1.0
    scaled: np.ndarray = np.round(centred / radius, 3).astype(np.float32)
    return scaled
