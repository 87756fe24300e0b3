"""The up axis of a dataset: every source hands out clouds in the right-handed, y-up frame."""

from typing import Literal

import numpy as np
from jaxtyping import Float32

UpAxis = Literal["y", "z"]


def to_y_up(vectors: Float32[np.ndarray, "*rows 3"], up_axis: UpAxis) -> Float32[np.ndarray, "*rows 3"]:
    """Points or normals in the y-up frame: from z-up a quarter turn about x, (x, y, z) -> (x, z, -y)."""
    if up_axis == "y":
        return vectors
    return np.stack([vectors[..., 0], vectors[..., 2], -vectors[..., 1]], axis=-1)
