"""Surfaces that are sampled exactly: points uniform per unit of area, each with its outward unit normal.

Four families are enough for everyday objects: flat facets (boxes, prisms), surfaces of revolution
(cylinders, cones, vessels), bent rings (handles) and tubes along a path. Each stands in its own frame,
y up, in metres; `assembly` moves surfaces into place and joins them into objects.

A surface is the sum of patches. A patch is chosen with a probability proportional to its area, and a
place within it by the inverse of its own distribution function, so no sample is ever rejected.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Bool, Float64, Int64

Points = Float64[np.ndarray, "points 3"]

FULL_TURN = 2 * np.pi
Number = int | float
"""What runtime checks, which take `float` at its word, must accept for a length such as 0 or 1."""


class Surface(ABC):
    """A surface of known area."""

    @property
    @abstractmethod
    def patch_areas(self) -> Float64[np.ndarray, " patches"]:
        """Area of every patch, in square metres."""

    @abstractmethod
    def place(
        self, patches: Int64[np.ndarray, " points"], generator: np.random.Generator
    ) -> tuple[Points, Points]:
        """One uniform point on each of these patches, and its outward unit normal."""

    @property
    def area(self) -> float:
        """Area of the whole surface, in square metres."""
        return float(self.patch_areas.sum())

    def sample(self, count: int, generator: np.random.Generator) -> tuple[Points, Points]:
        """`count` points drawn uniformly from the surface, and their outward unit normals."""
        borders = np.cumsum(self.patch_areas)
        patches = np.searchsorted(borders[:-1], generator.random(count) * borders[-1], side="right")
        return self.place(patches, generator)


@dataclass(frozen=True)
class Facets(Surface):
    """Flat parallelograms, or the triangles that are half of one, each spanned by two edges at a corner.

    The first edge crossed with the second points outwards.
    """

    corners: Float64[np.ndarray, "facets 3"]
    first_edges: Float64[np.ndarray, "facets 3"]
    second_edges: Float64[np.ndarray, "facets 3"]
    is_triangle: Bool[np.ndarray, " facets"]

    @cached_property
    def _crosses(self) -> Float64[np.ndarray, "facets 3"]:
        first, second = self.first_edges, self.second_edges
        # np.cross costs ten times as much on arrays this small
        forth, back = [1, 2, 0], [2, 0, 1]
        crosses: Points = first[:, forth] * second[:, back] - first[:, back] * second[:, forth]
        return crosses

    @cached_property
    def patch_areas(self) -> Float64[np.ndarray, " facets"]:
        """Area of every facet."""
        areas: Float64[np.ndarray, " facets"] = np.linalg.norm(self._crosses, axis=1)
        return np.where(self.is_triangle, areas / 2, areas)

    def place(
        self, patches: Int64[np.ndarray, " points"], generator: np.random.Generator
    ) -> tuple[Points, Points]:
        """Uniform in the parallelogram; the far half of a triangle's is folded back onto it."""
        first, second = generator.random((2, len(patches), 1))
        is_folded = self.is_triangle[patches, None] & (first + second > 1)
        first, second = np.where(is_folded, 1 - first, first), np.where(is_folded, 1 - second, second)
        points = (
            self.corners[patches] + first * self.first_edges[patches] + second * self.second_edges[patches]
        )
        normals = self._crosses / np.linalg.norm(self._crosses, axis=1, keepdims=True)
        return points, normals[patches]


@dataclass(frozen=True)
class Lathe(Surface):
    """A profile of (radius, height) knots turned about the y axis: a stack of discs, cylinders and cones.

    Outside is to the right when walking along the profile, so an outer wall runs upwards and an inner
    wall downwards. A `sweep` below a full turn, in radians, is centred on the +z axis.
    """

    profile: Float64[np.ndarray, "knots 2"]
    sweep: Number = FULL_TURN

    @cached_property
    def _slants(self) -> Float64[np.ndarray, "bands 2"]:
        return np.diff(self.profile, axis=0)

    @cached_property
    def patch_areas(self) -> Float64[np.ndarray, " bands"]:
        """Area of every band: mean circumference times slant height."""
        radii = self.profile[:, 0]
        areas: Float64[np.ndarray, " bands"] = self.sweep * (radii[:-1] + radii[1:]) / 2
        areas *= np.hypot(*self._slants.T)
        return areas

    def place(
        self, patches: Int64[np.ndarray, " points"], generator: np.random.Generator
    ) -> tuple[Points, Points]:
        """Density along the slant grows with the radius, hence the square root."""
        start, end = self.profile[patches, 0], self.profile[patches + 1, 0]
        uniform, angle = generator.random((2, len(patches)))
        angle = self.sweep * (angle - 0.5)
        widest = start + np.sqrt(start**2 + uniform * (end**2 - start**2))
        along = uniform * (start + end) / np.maximum(widest, np.finfo(float).tiny)
        slants = self._slants[patches]
        radius, height = (self.profile[patches] + along[:, None] * slants).T
        outward = slants[:, ::-1] * (1, -1) / np.linalg.norm(slants, axis=1, keepdims=True)
        sine, cosine = np.sin(angle), np.cos(angle)
        points = np.stack([radius * sine, height, radius * cosine], axis=1)
        return points, np.stack([outward[:, 0] * sine, outward[:, 1], outward[:, 0] * cosine], axis=1)


@dataclass(frozen=True)
class Ring(Surface):
    """A torus, or an arc of one: a tube of radius `thickness` bent to `radius` in the x-y plane.

    A `sweep` below a full turn is centred on the +x axis. The tube's radius is below that of the bend.
    """

    radius: Number
    thickness: Number
    sweep: Number = FULL_TURN

    @property
    def patch_areas(self) -> Float64[np.ndarray, "1"]:
        """Area by the theorem of Pappus."""
        return np.array([self.sweep * self.radius * FULL_TURN * self.thickness])

    def place(
        self, patches: Int64[np.ndarray, " points"], generator: np.random.Generator
    ) -> tuple[Points, Points]:
        """Area grows towards the outside, so some of the inner half is mirrored onto the outer half.

        The densities at an angle and at its mirror image add up to a constant, which makes this exact.
        """
        along, around, uniform = generator.random((3, len(patches)))
        along, around = self.sweep * (along - 0.5), FULL_TURN * around
        is_mirrored = 2 * self.radius * uniform > self.radius + self.thickness * np.cos(around)
        around = np.where(is_mirrored, np.pi - around, around)
        outward, sideways = np.cos(around), np.sin(around)
        normals = np.stack([outward * np.cos(along), outward * np.sin(along), sideways], axis=1)
        spine = self.radius * np.stack([np.cos(along), np.sin(along), np.zeros_like(along)], axis=1)
        return spine + self.thickness * normals, normals


@dataclass(frozen=True)
class Tube(Surface):
    """A round tube along a polyline, open at both ends; fine paths make it a smooth bend."""

    path: Float64[np.ndarray, "knots 3"]
    radius: Number

    @cached_property
    def _steps(self) -> Float64[np.ndarray, "segments 3"]:
        return np.diff(self.path, axis=0)

    @cached_property
    def patch_areas(self) -> Float64[np.ndarray, " segments"]:
        """Area of every straight segment."""
        lengths: Float64[np.ndarray, " segments"] = np.linalg.norm(self._steps, axis=1)
        return FULL_TURN * self.radius * lengths

    def place(
        self, patches: Int64[np.ndarray, " points"], generator: np.random.Generator
    ) -> tuple[Points, Points]:
        """Uniform along and around each segment."""
        along, angle = generator.random((2, len(patches), 1))
        frames = np.stack([frame_along(step) for step in self._steps])[patches]
        normals = np.cos(FULL_TURN * angle) * frames[:, :, 0] + np.sin(FULL_TURN * angle) * frames[:, :, 2]
        return self.path[patches] + along * self._steps[patches] + self.radius * normals, normals


def frame_along(direction: Float64[np.ndarray, "3"]) -> Float64[np.ndarray, "3 3"]:
    """Rotation whose columns are right-handed axes, the second (y) along `direction`."""
    x, y, z = direction / np.linalg.norm(direction)
    if 1 + y < 1e-9:
        return np.diag([1.0, -1.0, -1.0])
    # the smallest turn that takes the y axis to `direction`: Rodrigues' formula without angles
    share = 1 / (1 + y)
    return np.array(
        [[1 - x * x * share, x, -x * z * share], [-x, y, -z], [-x * z * share, z, 1 - z * z * share]]
    )


_BOX_CORNERS = np.array([[1, -1, -1], [-1, -1, -1], [-1, 1, -1], [-1, -1, -1], [-1, -1, 1], [-1, -1, -1]]) / 2
_BOX_FIRST = np.array([[0, 1, 0], [0, 0, 1], [0, 0, 1], [1, 0, 0], [1, 0, 0], [0, 1, 0]], dtype=float)
_BOX_SECOND = np.array([[0, 0, 1], [0, 1, 0], [1, 0, 0], [0, 0, 1], [0, 1, 0], [1, 0, 0]], dtype=float)


def box(width: Number, height: Number, depth: Number) -> Facets:
    """A closed box centred on the origin, its sides along x, y and z."""
    size = np.array([width, height, depth])
    return Facets(_BOX_CORNERS * size, _BOX_FIRST * size, _BOX_SECOND * size, np.zeros(6, dtype=bool))


def prism(outline: Float64[np.ndarray, "corners 2"], height: Number) -> Facets:
    """A closed plate of convex `outline` (x, z), standing on y = 0 and `height` thick.

    The outline turns from +x towards +z, and holds the origin.
    """
    count = len(outline)
    flat = np.insert(outline, 1, 0.0, axis=1)
    following = np.roll(flat, -1, axis=0)
    rise = np.broadcast_to([0.0, height, 0.0], (count, 3))
    return Facets(
        corners=np.concatenate([rise, np.zeros((count, 3)), flat]),
        first_edges=np.concatenate([following, flat, rise]),
        second_edges=np.concatenate([flat, following, following - flat]),
        is_triangle=np.repeat([True, True, False], count),
    )


def frustum(bottom_radius: Number, top_radius: Number, height: Number) -> Lathe:
    """A closed cone stump standing on y = 0; equal radii make a cylinder, a zero radius a cone."""
    knots = [(0.0, 0.0), (bottom_radius, 0.0), (top_radius, height), (0.0, height)]
    # a zero radius would leave a disc without area or direction
    return Lathe(np.array([knot for knot, last in zip(knots, [None, *knots], strict=False) if knot != last]))


def spheroid(radius: Number, half_height: Number, num_bands: int = 16) -> Lathe:
    """A ball centred on the origin, stretched along y, as a stack of `num_bands` narrow cones."""
    angles = np.linspace(-np.pi / 2, np.pi / 2, num_bands + 1)
    radii = np.maximum(radius * np.cos(angles), 0.0)
    return Lathe(np.stack([radii, half_height * np.sin(angles)], axis=1))
