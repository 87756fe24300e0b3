"""The noises of ModelNet40-C (Sun et al., 2022): points that are moved, and points that are added."""

import numpy as np

from pointlab.data.corruptions.contract import Corrupted, Points, single, to_unit_box

WIDTHS = (0.01, 0.02, 0.03, 0.04, 0.05)
DEVIATIONS = (0.01, 0.015, 0.02, 0.025, 0.03)
IMPULSE_DIVISORS = (30, 25, 20, 15, 10)
UPSAMPLING_DIVISORS = (5, 4, 3, 2, 1)
BACKGROUND_DIVISORS = (45, 40, 35, 30, 20)


def uniform(points: Points, severity: int, draw: np.random.Generator) -> Corrupted:
    """Uniform noise of 0.01 times the severity to either side on every coordinate; normalised."""
    width = WIDTHS[severity - 1]
    return to_unit_box(points + draw.uniform(-width, width, points.shape))


def gaussian(points: Points, severity: int, draw: np.random.Generator) -> Corrupted:
    """Gaussian noise on every coordinate, clipped to [-1, 1]; not normalised."""
    return single(np.clip(points + draw.normal(0, DEVIATIONS[severity - 1], points.shape), -1, 1))


def impulse(points: Points, severity: int, draw: np.random.Generator) -> Corrupted:
    """Some points moved by 0.1 along every axis, to either side; normalised."""
    moved = points.astype(np.float64)
    rows = draw.choice(len(points), len(points) // IMPULSE_DIVISORS[severity - 1], replace=False)
    moved[rows] += draw.choice((-0.1, 0.1), (len(rows), 3))
    return to_unit_box(moved)


def upsampling(points: Points, severity: int, draw: np.random.Generator) -> Corrupted:
    """With copies of some points, each off by up to 0.05 along every axis; normalised."""
    num_added = len(points) // UPSAMPLING_DIVISORS[severity - 1]
    copied = points[draw.choice(len(points), num_added, replace=False)]
    return to_unit_box(np.concatenate([points, copied + draw.uniform(-0.05, 0.05, copied.shape)]))


def background(points: Points, severity: int, draw: np.random.Generator) -> Corrupted:
    """With points that are uniform in the cube of side 2; normalised."""
    num_added = len(points) // BACKGROUND_DIVISORS[severity - 1]
    return to_unit_box(np.concatenate([points, draw.uniform(-1, 1, (num_added, 3))]))
