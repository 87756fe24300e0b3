"""`scans`: the classes of `shapes` as a depth sensor would see them, the target domain of a transfer.

A scan is one-sided, with real self-occlusion, depth noise, lost returns and holes; a piece of floor or of
a neighbour may remain; it is turned about the vertical axis and slightly tilted. The sensor `dense` is the
target; `sparse`, with few lines, more noise and other elevations, is the same world under a shift. The
two see different instances, and neither sees those of `shapes`.
"""

from dataclasses import replace
from typing import Literal

import numpy as np
from jaxtyping import Float64
from pydantic import Field

from pointlab.data.builtin.assembly import turn
from pointlab.data.builtin.clutter import neighbour, support
from pointlab.data.builtin.generated import GeneratedSource
from pointlab.data.builtin.objects import CLASSES, PART_NAMES
from pointlab.data.builtin.objects.variety import between, chance
from pointlab.data.builtin.optics import View, visible
from pointlab.data.builtin.sensors import SENSORS, Sensor, choose_view, measure
from pointlab.data.builtin.surfels import Surfels, join, sample_object
from pointlab.data.sample import Cloud
from pointlab.seeding import Key, generator

OBJECT_SURFELS = 6144
"""About two samples for every pixel that an object fills, so that near surfaces have no gaps."""
OUTLINE_POINTS = 512
"""Enough to know how large an object is."""
CLUTTER = len(PART_NAMES)
"""Point label of what belongs to no object."""


class Scans(GeneratedSource):
    """Depth scans of every built-in class, with at least `Sensor.min_returns` points on the object."""

    kind: Literal["scans"] = "scans"
    sensor: Literal["dense", "sparse"] = "dense"
    noise_scale: float = Field(default=1.0, ge=0)
    """Multiplies the sensor's depth noise; 1 is as measured."""
    dropout_scale: float = Field(default=1.0, ge=0, le=2)
    """Multiplies the sensor's share of lost returns, holes included; 1 is an ordinary indoor scene."""
    clutter_probability: float = Field(default=0.4, ge=0, le=1)
    """Chance of a piece of floor, and again of a neighbour: most segmentations leave something."""
    max_tilt: float = Field(default=5.0, ge=0, le=90)
    """Degrees by which the vertical may be misjudged; 5 is that of a hand-held sensor."""

    @property
    def stream(self) -> str:
        """One stream for each sensor."""
        return f"scans-{self.sensor}"

    @property
    def part_names(self) -> tuple[str, ...]:
        """Every part of every class, and last what belongs to no object."""
        return (*PART_NAMES, "clutter")

    @property
    def points_per_cloud(self) -> None:
        """Scans differ in length."""
        return

    def make(self, class_name: str, key: tuple[Key, ...]) -> Cloud:
        """A scan of an instance of `class_name` from a random side."""
        source = generator(*key)
        assembly = CLASSES[class_name](source)
        outline = assembly.sample(OUTLINE_POINTS, source)[0]
        low, high = outline.min(0), outline.max(0)
        radius = float(np.linalg.norm(high - low)) / 2
        view = choose_view(self._sensor, (low + high) / 2, radius, source)
        clutter = []
        if chance(source, self.clutter_probability):
            clutter.append(support(outline, CLUTTER, 0.3 * radius, source))
        if chance(source, self.clutter_probability):
            clutter.append(neighbour(outline, CLUTTER, view.eye, source))
        surfels = join([sample_object(class_name, assembly, OBJECT_SURFELS, source), *clutter])
        seen = surfels.take(visible(surfels.points, surfels.normals, view))
        scan = self._take_frames(seen, view, source).rotated(self._misalignment(source))
        return scan.to_cloud(list(CLASSES).index(class_name), assembly.caption)

    @property
    def _sensor(self) -> Sensor:
        """The sensor, as good or bad as this set wants it."""
        sensor = SENSORS[self.sensor]
        noise, dropout = sensor.noise * self.noise_scale, sensor.dropout * self.dropout_scale
        return replace(sensor, noise=noise, dropout=dropout)

    def _take_frames(self, seen: Surfels, view: View, source: np.random.Generator) -> Surfels:
        """Frames of what is seen from one place, until enough of the object has returned."""
        frames: list[Surfels] = []
        num_returns = 0
        while num_returns < self._sensor.min_returns:
            frames.append(measure(seen, view, self._sensor, source))
            num_returns += int((frames[-1].labels != CLUTTER).sum())
        return join(frames)

    def _misalignment(self, source: np.random.Generator) -> Float64[np.ndarray, "3 3"]:
        """Any turn about the vertical axis, then a tilt of at most `max_tilt` about a level one."""
        heading = turn("y", between(source, 0, 2 * np.pi))
        tilt = turn("x", np.radians(self.max_tilt) * source.random())
        return (turn("y", between(source, 0, 2 * np.pi)) @ tilt @ heading).rotation
