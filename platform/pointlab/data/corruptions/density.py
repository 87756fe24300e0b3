"""The densities of ModelNet40-C (Sun et al., 2022): neighbourhoods crowded, thinned out or cut out."""

import numpy as np

from pointlab.data.corruptions.clusters import draw_neighbourhood
from pointlab.data.corruptions.contract import Corrupted, Points, in_proportion, single

NEIGHBOURHOOD = 100
"""Points of a neighbourhood whose density changes."""
HOLE = 30
NUM_HOLES = (2, 3, 5, 7, 10)


def density_inc(points: Points, severity: int, draw: np.random.Generator) -> Corrupted:
    """Half as many points as were given: one neighbourhood a severity kept whole, and a draw from the rest.

    The draw may take a point twice. To come out with 1,024 points it must be given 2,048.
    """
    num_kept = len(points) // 2
    size = in_proportion(NEIGHBOURHOOD, num_kept)
    crowded = []
    for _ in range(severity):
        rows = draw_neighbourhood(points, size, draw)
        crowded.append(points[rows])
        points = np.delete(points, rows, axis=0)
    rest = points[draw.integers(len(points), size=num_kept - severity * size)]
    return single(np.concatenate([*crowded, rest]))


def density(points: Points, severity: int, draw: np.random.Generator) -> Corrupted:
    """What is left when one neighbourhood a severity loses three quarters of its points."""
    size = in_proportion(NEIGHBOURHOOD, len(points))
    for _ in range(severity):
        rows = draw_neighbourhood(points, size, draw)
        points = np.delete(points, draw.permutation(rows)[: size * 3 // 4], axis=0)
    return single(points)


def cutout(points: Points, severity: int, draw: np.random.Generator) -> Corrupted:
    """What is left when 2 to 10 neighbourhoods are cut out."""
    size = in_proportion(HOLE, len(points))
    for _ in range(NUM_HOLES[severity - 1]):
        points = np.delete(points, draw_neighbourhood(points, size, draw), axis=0)
    return single(points)
