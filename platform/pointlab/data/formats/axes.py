"""The up axis of a dataset: every source hands out clouds in the right-handed, y-up frame."""

from typing import Literal

import numpy as np
from jaxtyping import Float32, Float64

UpAxis = Literal["x", "-x", "y", "-y", "z", "-z"]
"""-y is that of camera coordinates, which point down; scenes in the frame of their first picture have it."""
TURNS: dict[UpAxis, tuple[tuple[int, int], tuple[int, int], tuple[int, int]]] = {
    "x": ((1, -1), (0, 1), (2, 1)),
    "-x": ((1, 1), (0, -1), (2, 1)),
    "y": ((0, 1), (1, 1), (2, 1)),
    "-y": ((0, 1), (1, -1), (2, -1)),
    "z": ((0, 1), (2, 1), (1, -1)),
    "-z": ((0, 1), (2, -1), (1, 1)),
}
"""Column and sign of each new coordinate: a turn about z for x and -x, about x for the others."""


def to_y_up(vectors: Float32[np.ndarray, "*rows 3"], up_axis: UpAxis) -> Float32[np.ndarray, "*rows 3"]:
    """Points or normals in the y-up frame; the other two axes go where the shortest turn takes them.

    From z-up, as most scans are, (x, y, z) becomes (x, z, -y); from x-up it becomes (-y, x, z).
    """
    if up_axis == "y":
        return vectors
    columns = [vectors[..., place] if sign > 0 else -vectors[..., place] for place, sign in TURNS[up_axis]]
    return np.stack(columns, axis=-1)


def y_up_from(up_axis: UpAxis) -> Float64[np.ndarray, "4 4"]:
    """The matrix that does what `to_y_up` does, for poses."""
    matrix = np.eye(4)
    matrix[:3, :3] = to_y_up(np.eye(3, dtype=np.float32), up_axis).T
    return matrix
