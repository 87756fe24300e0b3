"""What a corruption is, and what the two suites share: sizes that follow the cloud, and normalisations.

A corruption takes the points of one cloud, a severity from 1 to 5 and a generator, and returns new float32
points, perhaps more or fewer; what it was given stays as it is. The benchmarks count points of clouds that
have 1,024; for other sizes their counts grow and shrink in proportion, so that a cloud of any size is
damaged to the same degree.
"""

from collections.abc import Callable

import numpy as np
from jaxtyping import Float, Float32

Points = Float[np.ndarray, "points 3"]
Corrupted = Float32[np.ndarray, "corrupted 3"]
Corruption = Callable[[Points, int, np.random.Generator], Corrupted]

BENCHMARK_POINTS = 1024
SEVERITIES = (1, 2, 3, 4, 5)
Condition = tuple[str, int]
"""A corruption's name and its severity."""
FEWEST_POINTS = 32
"""Below this a share of the points is no longer a whole number of them, and a severity means nothing."""


def in_proportion(count: int, num_points: int) -> int:
    """As many of `num_points` points as `count` is of the benchmarks' 1,024; there, `count` itself."""
    return round(count * num_points / BENCHMARK_POINTS)


def single(points: Points) -> Corrupted:
    """The points in single precision, as every corruption returns them."""
    return points.astype(np.float32)


def to_unit_sphere(points: Points) -> Corrupted:
    """Centred on the mean, the farthest point at radius 1: the normalisation of ModelNet-C."""
    centred = points - points.mean(0, dtype=np.float64)
    return single(centred / np.sqrt((centred**2).sum(1).max()))


def to_unit_box(points: Points) -> Corrupted:
    """Bounding box centred, its longest side 2: the normalisation of ModelNet40-C."""
    lowest, highest = points.min(0).astype(np.float64), points.max(0).astype(np.float64)
    return single((points - (lowest + highest) / 2) / ((highest - lowest).max() / 2))
