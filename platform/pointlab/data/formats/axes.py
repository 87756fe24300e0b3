"""The up axis of a dataset: every source hands out clouds in the right-handed, y-up frame."""

from typing import Literal

import numpy as np
from jaxtyping import Float32, Float64

UpAxis = Literal["y", "z", "-y"]
"""-y is that of camera coordinates, which point down; scenes in the frame of their first picture have it."""


def to_y_up(vectors: Float32[np.ndarray, "*rows 3"], up_axis: UpAxis) -> Float32[np.ndarray, "*rows 3"]:
    """Points or normals in the y-up frame: from z-up a quarter turn about x, (x, y, z) -> (x, z, -y).

    From -y it is half a turn about x, (x, y, z) -> (x, -y, -z).
    """
    if up_axis == "y":
        return vectors
    if up_axis == "-y":
        return np.stack([vectors[..., 0], -vectors[..., 1], -vectors[..., 2]], axis=-1)
    return np.stack([vectors[..., 0], vectors[..., 2], -vectors[..., 1]], axis=-1)


def y_up_from(up_axis: UpAxis) -> Float64[np.ndarray, "4 4"]:
    """The matrix that does what `to_y_up` does, for poses."""
    matrix = np.eye(4)
    matrix[:3, :3] = to_y_up(np.eye(3, dtype=np.float32), up_axis).T
    return matrix
