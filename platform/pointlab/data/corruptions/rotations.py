"""Rotations about the three axes."""

import numpy as np
from jaxtyping import Float64

Matrix = Float64[np.ndarray, "3 3"]


def about_x(angle: float) -> Matrix:
    """Rotation by an angle in radians: a matrix for column vectors."""
    cosine, sine = np.cos(angle), np.sin(angle)
    return np.array([[1, 0, 0], [0, cosine, -sine], [0, sine, cosine]])


def about_y(angle: float) -> Matrix:
    """Rotation by an angle in radians: a matrix for column vectors."""
    cosine, sine = np.cos(angle), np.sin(angle)
    return np.array([[cosine, 0, sine], [0, 1, 0], [-sine, 0, cosine]])


def about_z(angle: float) -> Matrix:
    """Rotation by an angle in radians: a matrix for column vectors."""
    cosine, sine = np.cos(angle), np.sin(angle)
    return np.array([[cosine, -sine, 0], [sine, cosine, 0], [0, 0, 1]])
