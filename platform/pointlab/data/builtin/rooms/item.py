"""A piece of furniture as it stands in a room: dense oriented points, and the materials they are of."""

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from jaxtyping import Float64, Int64

from pointlab.data.builtin.assembly import Assembly, turn
from pointlab.data.builtin.materials import dress
from pointlab.data.builtin.objects import CLASSES
from pointlab.data.builtin.primitives import Points

DENSITY = 2500.0
"""Points per square metre of large parts: a spacing of 2 cm, a pixel at 3 m."""
THIN_DENSITY = 2200.0
"""Points of a part of one square metre, falling with the root of the area: small parts come out denser."""
CLOSING_RADIUS = 1.5
"""Disc radius in units of the mean spacing: exp(-pi * 1.5^2), one gap in 1,200 pixels."""
SUPPORTS = {"table": "top", "cabinet": "body"}
"""Class -> the part whose top carries other things."""
SUPPORT_SHARE = 0.7
"""Share of the top's sides that is used: the square inscribed in a round top."""
MAX_DRAWS = 12


@dataclass(frozen=True)
class Item:
    """An object in place, in metres; `size` is the disc radius of every point, `materials` index its own.

    `support` are opposite corners of the level rectangle on which other things may stand.
    """

    name: str
    points: Points
    normals: Points
    size: Float64[np.ndarray, " points"]
    skins: Int64[np.ndarray, " points"]
    materials: tuple[str, ...]
    support: Float64[np.ndarray, "2 3"] | None = None

    @cached_property
    def low(self) -> Float64[np.ndarray, "3"]:
        """Lowest corner of the bounding box."""
        # axis by axis: of all three at once it takes ten times as long
        return np.array([axis.min() for axis in self.points.T])

    @cached_property
    def high(self) -> Float64[np.ndarray, "3"]:
        """Highest corner of the bounding box."""
        return np.array([axis.max() for axis in self.points.T])

    def turned(self, angle: float) -> "Item":
        """The item after a turn about the vertical axis (radians); one with a support by quarters only."""
        rotation = turn("y", angle).rotation
        support = None if self.support is None else np.sort(self.support @ rotation.T, axis=0)
        normals = self.normals @ rotation.T
        return replace(self, points=self.points @ rotation.T, normals=normals, support=support)

    def shifted(self, offset: Float64[np.ndarray, "3"]) -> "Item":
        """The item moved by `offset`."""
        support = None if self.support is None else self.support + offset
        return replace(self, points=self.points + offset, support=support)


def make_item(name: str, heights: tuple[float, float], generator: np.random.Generator) -> Item:
    """An instance of the class `name` on the origin, of a height in this range if one of a dozen has it."""
    assembly = CLASSES[name](generator)
    for _ in range(MAX_DRAWS):
        top = assembly.sample(256, generator)[0][:, 1].max()
        if heights[0] <= top <= heights[1]:
            break
        assembly = CLASSES[name](generator)
    return _sampled(name, assembly, generator)


def _sampled(name: str, assembly: Assembly, generator: np.random.Generator) -> Item:
    areas = assembly.areas
    counts = np.ceil(np.maximum(DENSITY * areas, THIN_DENSITY * np.sqrt(areas))).astype(np.int64)
    points, normals, parts = assembly.sample_parts(counts, generator)
    materials, skin_of_part = dress(assembly, generator)
    size = CLOSING_RADIUS * np.sqrt(areas / counts)
    is_support = np.array([part.name == SUPPORTS.get(name) for part in assembly.parts])[parts]
    support = _support(points[is_support]) if is_support.any() else None
    return Item(name, points, normals, size[parts], skin_of_part[parts], tuple(materials), support)


def _support(points: Points) -> Float64[np.ndarray, "2 3"]:
    """The middle of the top of these points."""
    low, high = points.min(0), points.max(0)
    centre, half = (low + high) / 2, SUPPORT_SHARE * (high - low) / 2
    centre[1], half[1] = high[1], 0.0
    return np.stack([centre - half, centre + half])
