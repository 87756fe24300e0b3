"""The gallery: a validation cloud of the same classes from every set, so that the shift can be seen.

The clouds come from validation splits; a report reads no test split. A cloud's first points are those
that farthest-point sampling keeps, so a prefix of it is an even sample.
"""

from collections import Counter
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32, Int64

from pointlab.data.cache import CachedSplit, open_split
from pointlab.report.collect import Material
from pointlab.report.wording import role_name
from pointlab.storage import Storage

MAX_CLASSES, MAX_POINTS = 6, 512
MAX_SETS = 6
"""Each set has a WebGL context, of which browsers keep 8 to 16 alive."""
ROLE_ORDER = ("pretraining data", "target", "shifted")
PARTS = ("#2f7fc4", "#e69f00", "#109f7c", "#d9582b", "#c46fa6", "#4fb3e6", "#7d68c2", "#a8a117")
"""Colours of parts: those of Okabe and Ito, shifted so that all show on white and on black."""
HEIGHTS = ("#3b4cc0", "#4f7bd9", "#5aa6d0", "#57c4a5", "#9bcb5c", "#dfb23a", "#e8803a", "#d9483b")
RECEDING = "#88919d"
"""Of parts called clutter, which belong to no object."""


@dataclass(frozen=True)
class View:
    """A cloud in the unit sphere, y up; `shades` index `colours`, which are named where they are parts."""

    points: Float32[np.ndarray, "points 3"]
    shades: Int64[np.ndarray, " points"]
    colours: tuple[str, ...]
    parts: tuple[str, ...] = ()


@dataclass(frozen=True)
class SetViews:
    """One cloud per class of a set, None where the set has none of that class."""

    role: str
    dataset: str
    views: tuple[View | None, ...]


@dataclass(frozen=True)
class Gallery:
    """The same classes of several sets, and the sets that could not be shown."""

    classes: tuple[str, ...]
    sets: tuple[SetViews, ...]
    left_out: tuple[str, ...]


@dataclass(frozen=True)
class _Set:
    role: str
    dataset: str
    split: CachedSplit
    class_names: tuple[str, ...]
    part_names: tuple[str, ...]

    @property
    def present(self) -> set[str]:
        return {self.class_names[label] for label in np.unique(self.split.labels) if label >= 0}


def build_gallery(storage: Storage, material: Material) -> Gallery:
    """Clouds of at most `MAX_CLASSES` classes from the validation split of every set on the page."""
    roles = dataset_roles(material)
    shown = [name for name in roles if material.clouds_in(name, "validation")][:MAX_SETS]
    sets = [_open(storage, material, roles[name], name) for name in shown]
    classes = _shared_classes(sets)
    colours = {name: _part_colours(sets, name) for name in classes}
    views = tuple(
        SetViews(one.role, one.dataset, tuple(_view(one, name, colours[name]) for name in classes))
        for one in sets
    )
    return Gallery(classes, views, tuple(name for name in roles if name not in shown))


def dataset_roles(material: Material) -> dict[str, str]:
    """What each set on the page was used for: pretraining data first, then targets, then shifted sets."""
    roles: dict[str, str] = {}
    for record in material.records:
        for role, name in record.datasets.items():
            roles.setdefault(name, role_name(record.kind, role))
    rank = {role: position for position, role in enumerate(ROLE_ORDER)}
    return dict(sorted(roles.items(), key=lambda item: rank.get(item[1], len(rank))))


def _open(storage: Storage, material: Material, role: str, name: str) -> _Set:
    manifest = material.datasets[name]
    split = open_split(storage, name, "validation")
    return _Set(role, name, split, manifest.class_names, manifest.part_names)


def _shared_classes(sets: list[_Set]) -> tuple[str, ...]:
    """Classes that most sets have, spread evenly over their list."""
    counts = Counter(name for one in sets for name in one.class_names if name in one.present)
    common = [name for name, count in counts.items() if count == max(counts.values())]
    rows = np.linspace(0, len(common) - 1, min(MAX_CLASSES, len(common))).round().astype(int)
    return tuple(common[row] for row in rows)


def _find(one: _Set, name: str) -> int | None:
    """Row of the first cloud of a class."""
    if name not in one.present:
        return None
    return int(np.flatnonzero(one.split.labels == one.class_names.index(name))[0])


def _part_colours(sets: list[_Set], name: str) -> dict[str, str]:
    """A colour for every part that the clouds of one class have, the same in all sets."""
    found: list[str] = []
    for one in sets:
        row = _find(one, name)
        if row is not None and _has_parts(one):
            found += [one.part_names[part] for part in np.unique(_part_labels(one, row))]
    ordered = [part for part in dict.fromkeys(found) if part != "clutter"]
    colours = {part: PARTS[number % len(PARTS)] for number, part in enumerate(ordered)}
    return colours | ({"clutter": RECEDING} if "clutter" in found else {})


def _view(one: _Set, name: str, colours: dict[str, str]) -> View | None:
    row = _find(one, name)
    if row is None:
        return None
    points = _in_unit_sphere(one.split.arrays(row, ("points",))["points"][:MAX_POINTS])
    if not _has_parts(one):
        shades = ((points[:, 1] + 1) / 2 * len(HEIGHTS)).astype(np.int64).clip(0, len(HEIGHTS) - 1)
        return View(points, shades, HEIGHTS)
    names = list(colours)
    shades = np.array([names.index(one.part_names[part]) for part in _part_labels(one, row)])
    return View(points, shades, tuple(colours.values()), tuple(names))


def _has_parts(one: _Set) -> bool:
    return bool(one.part_names) and "point_labels" in one.split.per_point


def _part_labels(one: _Set, row: int) -> Int64[np.ndarray, " points"]:
    labels: np.ndarray = one.split.arrays(row, ("point_labels",))["point_labels"]
    return np.asarray(labels[:MAX_POINTS])


def _in_unit_sphere(points: np.ndarray) -> Float32[np.ndarray, "points 3"]:
    """The cloud around the middle of its box, as large as fits: for the eye, not for a network."""
    low, high = points.min(0), points.max(0)
    centred = points - (low + high) / 2
    radius = float(np.linalg.norm(centred, axis=1).max()) or 1.0
    return np.round(centred / radius, 3).astype(np.float32)
