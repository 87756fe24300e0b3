"""Neighbourhoods that local corruptions thin out, remove or crowd."""

import numpy as np
from jaxtyping import Int64

from pointlab.data.corruptions.contract import Points

MOST_CLUSTERS = 7
"""The local corruptions of ModelNet-C fall into 1 to 7 clusters, each number equally likely."""


def draw_neighbourhood(points: Points, size: int, draw: np.random.Generator) -> Int64[np.ndarray, " size"]:
    """Rows of the `size` points nearest to a point drawn at random, itself among them."""
    centre = points[draw.integers(len(points))]
    if size == 0:
        return np.empty(0, np.int64)
    distances = ((points - centre) ** 2).sum(1)
    nearest: Int64[np.ndarray, " size"] = np.argpartition(distances, size - 1)[:size]
    return nearest


def draw_cluster_sizes(total: int, draw: np.random.Generator) -> Int64[np.ndarray, " clusters"]:
    """Sizes of 1 to 7 clusters that `total` points fall into at random."""
    num_clusters = int(draw.integers(1, MOST_CLUSTERS + 1))
    return draw.multinomial(total, np.full(num_clusters, 1 / num_clusters))
