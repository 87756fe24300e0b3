"""Exact content of clouds: a digest that no order of the points changes, and points that are repeated."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float32, Float64, UInt64

FACTORS = np.array([0x9E3779B97F4A7C15, 0xC2B2AE3D27D4EB4F, 0x165667B19E3779F9], dtype=np.uint64)
"""Odd, with well-spread bits; one a coordinate, so that swapped coordinates are another point."""
FIRST_MIX, SECOND_MIX = np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)
"""The finaliser of SplitMix64 (Steele, Lea and Flood, OOPSLA 2014): every bit depends on all bits."""


class Contents(NamedTuple):
    """Digests of clouds and the share of points in each that repeat another one exactly."""

    digests: UInt64[np.ndarray, " clouds"]
    repeated: Float64[np.ndarray, " clouds"]


def content_of(points: Float32[np.ndarray, "clouds points 3"]) -> Contents:
    """What `Contents` says of each cloud; the digests of two clouds differ unless their points are equal.

    A digest is the sum of the hashes of the points, so it needs no sorting and holds for any order.
    """
    hashes = _hash_points(points)
    ordered = np.sort(hashes, axis=1)
    num_repeated = (ordered[:, 1:] == ordered[:, :-1]).sum(1)
    return Contents(hashes.sum(1, dtype=np.uint64), num_repeated / points.shape[1])


def _hash_points(points: Float32[np.ndarray, "clouds points 3"]) -> UInt64[np.ndarray, "clouds points"]:
    bits = (points + np.float32(0)).view(np.uint32).astype(np.uint64)  # + 0: the two zeros are one
    mixed = bits[..., 0] * FACTORS[0]
    for axis in (1, 2):
        mixed = (mixed ^ (mixed >> np.uint64(29))) + bits[..., axis] * FACTORS[axis]
    mixed = (mixed ^ (mixed >> np.uint64(30))) * FIRST_MIX
    mixed = (mixed ^ (mixed >> np.uint64(27))) * SECOND_MIX
    result: np.ndarray = mixed ^ (mixed >> np.uint64(31))
    return result
