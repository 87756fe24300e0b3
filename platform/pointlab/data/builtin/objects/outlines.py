"""Convex outlines in the floor plane, for plates such as table tops and seats.

Each is an array of (x, z) corners that holds the origin and turns from +x towards +z; lengths in metres.
"""

import numpy as np
from jaxtyping import Float64

from pointlab.data.builtin.primitives import Number

Outline = Float64[np.ndarray, "corners 2"]


def rectangle(width: Number, depth: Number) -> Outline:
    """A rectangle, `width` along x and `depth` along z."""
    return np.array([[1, -1], [1, 1], [-1, 1], [-1, -1]]) * (width / 2, depth / 2)


def trapezoid(front: Number, back: Number, depth: Number) -> Outline:
    """A symmetric trapezoid, `front` wide at +z and `back` wide at -z."""
    return np.array([[back, -depth], [front, depth], [-front, depth], [-back, -depth]]) / 2


def polygon(diameter: Number, num_corners: int) -> Outline:
    """A regular polygon inscribed in a circle; 32 corners pass for round."""
    angles = 2 * np.pi * (np.arange(num_corners) + 0.5) / num_corners
    return np.stack([np.cos(angles), np.sin(angles)], axis=1) * diameter / 2


def rounded(width: Number, depth: Number, squareness: float = 4.0) -> Outline:
    """A superellipse: an oval at `squareness` 2, a rectangle with rounded corners above that."""
    circle = polygon(2.0, 32)
    outline: Outline = np.sign(circle) * np.abs(circle) ** (2 / squareness) * (width / 2, depth / 2)
    return outline
