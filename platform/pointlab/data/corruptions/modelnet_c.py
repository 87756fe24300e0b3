"""The seven corruptions of ModelNet-C (Ren, Pan and Liu, ICML 2022), for clouds in the unit sphere.

Severity s is the released level s - 1. Parameters and order of operations follow the released generator,
what looks like a slip included, since scores are compared with those of its files.
"""

import numpy as np

from pointlab.data.corruptions.clusters import draw_cluster_sizes, draw_neighbourhood
from pointlab.data.corruptions.contract import (
    Corrupted,
    Corruption,
    Points,
    in_proportion,
    single,
    to_unit_sphere,
)
from pointlab.data.corruptions.rotations import about_x, about_y, about_z

LARGEST_FACTORS = (1.6, 1.7, 1.8, 1.9, 2.0)
DROPPED_SHARES = (0.25, 0.375, 0.5, 0.625, 0.75)
LARGEST_ANGLE = np.pi / 6
"""Of a rotation about each axis at severity 5; it grows with the severity."""


def scale(points: Points, severity: int, draw: np.random.Generator) -> Corrupted:
    """Stretched along each axis by a factor in [1/s, s], and put back into the unit sphere."""
    largest = LARGEST_FACTORS[severity - 1]
    return to_unit_sphere(points * draw.uniform(1 / largest, largest, 3))


def jitter(points: Points, severity: int, draw: np.random.Generator) -> Corrupted:
    """Gaussian noise of deviation 0.01 times the severity on every coordinate."""
    return single(points + draw.normal(0, 0.01 * severity, points.shape))


def rotate(points: Points, severity: int, draw: np.random.Generator) -> Corrupted:
    """Row vectors times Rz Ry Rx, which is not transposed; angles up to 6 degrees times the severity."""
    largest = LARGEST_ANGLE * severity / 5
    x, y, z = draw.uniform(-largest, largest, 3)
    return single(points @ (about_z(z) @ about_y(y) @ about_x(x)))


def dropout_global(points: Points, severity: int, draw: np.random.Generator) -> Corrupted:
    """A random part of the points, shuffled."""
    num_kept = int(len(points) * (1 - DROPPED_SHARES[severity - 1]))
    return single(points[draw.permutation(len(points))[:num_kept]])


def dropout_local(points: Points, severity: int, draw: np.random.Generator) -> Corrupted:
    """What is left when 100 points a severity are cut out in whole neighbourhoods."""
    for size in draw_cluster_sizes(in_proportion(100 * severity, len(points)), draw):
        points = np.delete(points, draw_neighbourhood(points, int(size), draw), axis=0)
    return single(points)


def add_global(points: Points, severity: int, draw: np.random.Generator) -> Corrupted:
    """10 more points a severity, uniform in the unit ball."""
    num_added = in_proportion(10 * severity, len(points))
    radii = np.cbrt(draw.uniform(0, 1, num_added))
    heights = draw.uniform(-1, 1, num_added)
    azimuths = draw.uniform(0, 2 * np.pi, num_added)
    widths = np.sqrt(1 - heights**2)
    directions = np.stack([widths * np.cos(azimuths), widths * np.sin(azimuths), heights], 1)
    return single(np.concatenate([points, radii[:, None] * directions]))


def add_local(points: Points, severity: int, draw: np.random.Generator) -> Corrupted:
    """100 more points a severity, in Gaussian clusters around points of the cloud.

    A point outside the unit sphere is divided by its squared norm, and so lands as far inside as it was
    outside, rather than on the surface.
    """
    sizes = draw_cluster_sizes(in_proportion(100 * severity, len(points)), draw)
    centres = points[draw.choice(len(points), len(sizes), replace=False)]
    deviations = draw.uniform(0.075, 0.125, len(sizes))
    added = np.repeat(centres, sizes, axis=0).astype(np.float64)
    added += np.repeat(deviations, sizes)[:, None] * draw.normal(size=added.shape)
    added /= np.maximum((added**2).sum(1, keepdims=True), 1)
    return single(np.concatenate([points, added]))


MODELNET_C: dict[str, Corruption] = {
    "scale": scale,
    "jitter": jitter,
    "rotate": rotate,
    "dropout_global": dropout_global,
    "dropout_local": dropout_local,
    "add_global": add_global,
    "add_local": add_local,
}
