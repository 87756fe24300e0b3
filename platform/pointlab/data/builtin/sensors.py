"""Depth sensors: from where they look, which returns they lose, and how wrongly they measure."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float64

from pointlab.data.builtin.objects.variety import between
from pointlab.data.builtin.optics import View, incidence, look_at, scan_lines
from pointlab.data.builtin.primitives import Points
from pointlab.data.builtin.surfels import Surfels


@dataclass(frozen=True)
class Sensor:
    """A kind of sensor; `elevation` is the range of angles above the object's centre, in degrees."""

    num_columns: int
    """Pixels across the diameter of the object's bounding sphere."""
    line_gap: int
    """Pixels from one scan line to the next; 1 reads the whole raster."""
    elevation: tuple[float, float]
    noise: float
    """Depth noise as a multiple of that of a first-generation Kinect."""
    dropout: float
    """Share of returns lost even on frontal surfaces."""
    min_returns: int
    """Frames are taken until this many points of the object have returned."""


SENSORS: dict[str, Sensor] = {
    # a depth camera in the hand: it looks down at things from standing height
    "dense": Sensor(
        num_columns=64, line_gap=1, elevation=(20.0, 55.0), noise=1.0, dropout=0.05, min_returns=256
    ),
    # a small scanner on a low robot: nearly level, a dozen lines, more noise and more losses
    "sparse": Sensor(
        num_columns=64, line_gap=5, elevation=(1.0, 10.0), noise=4.0, dropout=0.25, min_returns=128
    ),
}


def choose_view(
    sensor: Sensor, centre: Float64[np.ndarray, "3"], radius: float, generator: np.random.Generator
) -> View:
    """A place to look at a ball of this `centre` and `radius` (metres) from, anywhere around it.

    It is 2.5 to 4 radii away, so that the ball fills the raster, but not nearer than half a metre, where
    depth cameras begin to work.
    """
    elevation = np.radians(between(generator, *sensor.elevation))
    distance = max(0.5 + radius, radius * between(generator, 2.5, 4.0))
    pitch = 2 * radius / distance / sensor.num_columns
    return look_at(centre, between(generator, 0, 2 * np.pi), elevation, distance, pitch)


def measure(seen: Surfels, view: View, sensor: Sensor, generator: np.random.Generator) -> Surfels:
    """One frame of visible surfels: those on a scan line that are not lost, measured with noise.

    The lines begin at another pixel in every frame, so that whatever is seen returns sooner or later.
    """
    phase = int(generator.integers(sensor.line_gap))
    seen = seen.take(scan_lines(seen.points, view, sensor.line_gap, phase))
    cosine = incidence(seen.points, seen.normals, view)
    # slanted surfaces send little light back
    is_lost = generator.random(len(cosine)) < sensor.dropout * (1 + 10 * (1 - cosine) ** 4)
    rays = seen.points - view.eye
    depth = np.linalg.norm(rays, axis=1)
    error = sensor.noise * depth_noise(depth, cosine) * generator.standard_normal(len(depth))
    measured = Surfels(seen.points + rays * (error / depth)[:, None], seen.normals, seen.labels)
    return measured.take(np.flatnonzero(~is_lost & ~_holes(seen.points, sensor.dropout, generator)))


def _holes(points: Points, dropout: float, generator: np.random.Generator) -> Bool[np.ndarray, " points"]:
    """Which of `points` lie in round patches without returns, as dark and shiny places leave them."""
    is_lost = np.zeros(len(points), dtype=bool)
    if len(points) == 0:
        return is_lost
    size = np.ptp(points, axis=0).max()
    for centre in points[generator.integers(len(points), size=generator.poisson(30 * dropout))]:
        is_lost |= np.linalg.norm(points - centre, axis=1) < size * between(generator, 0.02, 0.1)
    return is_lost


def depth_noise(
    depth: Float64[np.ndarray, " points"], cosine: Float64[np.ndarray, " points"]
) -> Float64[np.ndarray, " points"]:
    """Standard deviation of measured depth, in metres, that grows with range and with the angle.

    Nguyen, Izadi and Lovell, "Modeling Kinect Sensor Noise for Improved 3D Reconstruction and Tracking",
    3DIMPVT 2012, axial noise.
    """
    angle = np.arccos(np.minimum(cosine, 1.0))
    slanted = 0.0001 / np.sqrt(depth) * (angle / (np.pi / 2 - angle)) ** 2
    deviation: Float64[np.ndarray, " points"] = 0.0012 + 0.0019 * (depth - 0.4) ** 2 + slanted
    return deviation
