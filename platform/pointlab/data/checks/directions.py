"""How clouds look along each axis: what tells a chair that stands from one that lies or hangs.

For each of the three axes: seven figures that do not change when the cloud is turned about that axis by a
quarter, moved or scaled. Looking down instead of up changes the sign of one and swaps two pairs
(`turn_over`).
"""

import numpy as np
from jaxtyping import Float32, Float64

FIGURES = (
    "log of the spread along the axis over that across it",
    "log of the larger over the smaller spread across it",
    "skewness of the heights",
    "share of points in the lowest slab",
    "share of points in the highest slab",
    "spread of the lowest slab across the axis, over that of the whole",
    "spread of the highest slab across the axis, over that of the whole",
)
NUM_FIGURES = len(FIGURES)
SLAB = 0.1
"""Share of the height: thin enough for a table's top, thick enough for a noisy sensor's."""
TAIL = 0.01
"""Share of the points below and above what counts as height: stray points do not stretch it."""
SMALLEST = 1e-3
"""Ratio below which a spread counts as this: flat clouds keep finite logarithms."""
OTHERS = np.array([[1, 2], [0, 2], [0, 1]])
"""The two axes across each axis."""


def along_axes(
    centred: Float32[np.ndarray, "clouds 3 points"],
) -> Float32[np.ndarray, "clouds 3 figures"]:
    """The `FIGURES` of each centred cloud along x, y and z."""
    squares = centred**2
    variances = squares.mean(2, dtype=np.float64)
    spreads = np.sqrt(variances) + SMALLEST * np.sqrt(variances.sum(1, keepdims=True)) + 1e-30
    across = variances[:, OTHERS].sum(2) + 1e-30
    smaller, larger = spreads[:, OTHERS].min(2), spreads[:, OTHERS].max(2)
    skewness = (squares * centred).mean(2, dtype=np.float64) / spreads**3
    shares, widths = _slabs(centred, squares, across)
    figures = [
        np.log(spreads / np.sqrt(smaller * larger)),
        np.log(larger / smaller),
        skewness,
        *shares,
        *widths,
    ]
    return np.stack(figures, axis=2).astype(np.float32)


def turn_over(figures: Float64[np.ndarray, "*any figures"]) -> Float64[np.ndarray, "*any figures"]:
    """The figures along an axis, as seen along the opposite direction."""
    signs = np.array([1, 1, -1, 1, 1, 1, 1])
    result: np.ndarray = figures[..., [0, 1, 2, 4, 3, 6, 5]] * signs
    return result


def _slabs(
    centred: Float32[np.ndarray, "clouds 3 points"],
    squares: Float32[np.ndarray, "clouds 3 points"],
    across: Float64[np.ndarray, "clouds 3"],
) -> tuple[list[Float64[np.ndarray, "clouds 3"]], list[Float64[np.ndarray, "clouds 3"]]]:
    """Shares of points in the lowest and highest slab of each axis, and how wide those slabs are."""
    num_points = centred.shape[2]
    tail = int(TAIL * num_points)
    ordered = np.sort(centred, axis=2)  # vectorised, so faster than a partition
    low, high = ordered[:, :, tail, None], ordered[:, :, num_points - 1 - tail, None]
    depth = np.float32(SLAB) * (high - low)
    shares, widths = [], []
    for is_inside in (centred <= low + depth, centred >= high - depth):
        counts = is_inside.sum(2)
        sums = is_inside.astype(np.float32) @ squares.transpose(0, 2, 1)  # axis of the slab, axis summed
        inside = sums[:, np.arange(3)[:, None], OTHERS].sum(2, dtype=np.float64) / np.maximum(counts, 1)
        shares.append(counts / num_points)
        widths.append(np.sqrt(inside / across))
    return shares, widths
