"""Objects as assemblies: named surfaces, each moved into place by a rigid motion, and a caption.

An assembly stands on the plane y = 0, faces +z and is measured in metres. Its surface is the union of
the surfaces of its parts; what one part hides of another is sampled as well, as in a model made by hand.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Literal

import numpy as np
from jaxtyping import Float64, Int64

from pointlab.data.builtin.primitives import (
    Lathe,
    Number,
    Points,
    Surface,
    Tube,
    box,
    frame_along,
    frustum,
    prism,
)

Vector = tuple[Number, Number, Number]


@dataclass(frozen=True)
class Pose:
    """A rigid motion: rotate, then translate (metres)."""

    rotation: Float64[np.ndarray, "3 3"]
    translation: Float64[np.ndarray, "3"]

    def __matmul__(self, first: "Pose") -> "Pose":
        """The motion that does `first`, then this one."""
        return Pose(self.rotation @ first.rotation, self.rotation @ first.translation + self.translation)


def shift(x: Number, y: Number, z: Number) -> Pose:
    """Motion by a vector."""
    return Pose(np.eye(3), np.array([x, y, z], dtype=float))


def turn(axis: Literal["x", "y", "z"], angle: Number) -> Pose:
    """Rotation about an axis through the origin by `angle` radians, counterclockwise seen from its tip."""
    first, second = {"x": (1, 2), "y": (2, 0), "z": (0, 1)}[axis]
    rotation = np.eye(3)
    rotation[[first, second], [first, second]] = np.cos(angle)
    rotation[second, first], rotation[first, second] = np.sin(angle), -np.sin(angle)
    return Pose(rotation, np.zeros(3))


@dataclass(frozen=True)
class Part:
    """A surface in place, and the name of the part of the object that it belongs to."""

    name: str
    surface: Surface
    pose: Pose

    def moved(self, pose: Pose) -> "Part":
        """The same part after a further motion."""
        return replace(self, pose=pose @ self.pose)


@dataclass(frozen=True)
class Assembly:
    """One object: its parts, and a sentence that describes it."""

    parts: tuple[Part, ...]
    caption: str

    def sample(
        self, count: int, generator: np.random.Generator
    ) -> tuple[Points, Points, Int64[np.ndarray, " points"]]:
        """`count` points uniform over all parts, their outward normals, and the index of each one's part."""
        return self.sample_parts(generator.multinomial(count, self.areas / self.areas.sum()), generator)

    @cached_property
    def areas(self) -> Float64[np.ndarray, " parts"]:
        """Area of every part, in square metres."""
        return np.array([part.surface.area for part in self.parts])

    def sample_parts(
        self, counts: Int64[np.ndarray, " parts"], generator: np.random.Generator
    ) -> tuple[Points, Points, Int64[np.ndarray, " points"]]:
        """As `sample`, with so many points of each part."""
        points, normals = np.empty((counts.sum(), 3)), np.empty((counts.sum(), 3))
        for part, stop, size in zip(self.parts, np.cumsum(counts), counts, strict=True):
            rows = slice(stop - size, stop)
            placed, directions = part.surface.sample(int(size), generator)
            points[rows] = placed @ part.pose.rotation.T + part.pose.translation
            normals[rows] = directions @ part.pose.rotation.T
        return points, normals, np.repeat(np.arange(len(counts)), counts)


def moved(parts: Iterable[Part], pose: Pose) -> list[Part]:
    """Every part after a further motion."""
    return [part.moved(pose) for part in parts]


def block(name: str, size: Vector, centre: Vector) -> Part:
    """An upright box of `size` (width, height, depth) about `centre`."""
    return Part(name, box(*size), shift(*centre))


def beam(name: str, start: Vector, end: Vector, width: Number, depth: Number) -> Part:
    """A square timber from `start` to `end`."""
    length, pose = _between(start, end)
    return Part(name, box(width, length, depth), pose @ shift(0, length / 2, 0))


def rod(name: str, start: Vector, end: Vector, radius: Number, end_radius: Number | None = None) -> Part:
    """A round bar from `start` to `end`, tapering to `end_radius` where one is given."""
    length, pose = _between(start, end)
    return Part(name, frustum(radius, radius if end_radius is None else end_radius, length), pose)


def plate(name: str, outline: Float64[np.ndarray, "corners 2"], thickness: Number, bottom: Number) -> Part:
    """A level plate of convex `outline` (x, z) whose underside is at height `bottom`."""
    return Part(name, prism(outline, thickness), shift(0, bottom, 0))


def turned(name: str, profile: Sequence[tuple[Number, Number]] | Float64[np.ndarray, "knots 2"]) -> Part:
    """A surface of revolution about the y axis; see `Lathe` for the direction of the profile."""
    return Part(name, Lathe(np.asarray(profile, dtype=float)), shift(0, 0, 0))


def pipe(name: str, path: Sequence[Vector] | Float64[np.ndarray, "knots 3"], radius: Number) -> Part:
    """A round tube along a path."""
    return Part(name, Tube(np.asarray(path, dtype=float), radius), shift(0, 0, 0))


def _between(start: Vector, end: Vector) -> tuple[float, Pose]:
    """Length of a straight line, and the motion that lays the y axis from the origin along it."""
    origin = np.array(start, dtype=float)
    direction = np.array(end, dtype=float) - origin
    return float(np.linalg.norm(direction)), Pose(frame_along(direction), origin)
