"""Clouds of which a part is shown: one side of them, all but a box, or what lies in a window on the ground.

`crop` and `drop_cuboid` take the arrays of a batch and how many rows of each cloud are real, and return both;
what is kept comes first, in the order it had. `in_window` chooses points of scenes before they are read.
"""

import numpy as np
from jaxtyping import Bool, Float32, Int64

from pointlab.data.cache import CachedSplit
from pointlab.data.sample import Arrays
from pointlab.seeding import KeyedDraws

MOST_DROPPED = 0.5
"""Share of its points above which a cloud loses none to a cuboid; SLidR, too, undoes what leaves too few."""


def crop(
    arrays: Arrays, counts: Int64[np.ndarray, " batch"], draws: KeyedDraws, shares: tuple[float, float]
) -> tuple[Arrays, Int64[np.ndarray, " batch"]]:
    """The clouds seen from one side each, and how many of their points that leaves, in the order they had.

    A direction is drawn for each cloud, and the points that lie farthest along it are kept; what is kept is
    centred on its mean and scaled so that its farthest point lies at radius 1.
    """
    directions = draws.normal("crop direction", 3)
    kept = np.ceil(counts * draws.uniform("crop share", 1, *shares)[:, 0]).astype(np.int64)
    heights = np.einsum("bpc,bc->bp", arrays["points"].astype(np.float64), directions)
    heights[~_is_real(arrays, counts)] = -np.inf
    rank = np.argsort(np.argsort(-heights, axis=1, kind="stable"), axis=1, kind="stable")
    shown = _first(arrays, rank < kept[:, None])
    shown["points"] = _in_unit_sphere(shown["points"], _is_real(shown, kept)[..., None], kept)
    return shown, kept


def drop_cuboid(
    arrays: Arrays, counts: Int64[np.ndarray, " batch"], draws: KeyedDraws, largest: float
) -> tuple[Arrays, Int64[np.ndarray, " batch"]]:
    """The clouds without what lies in a box around one of their points, and how many points that leaves.

    The edges of the box are the cloud's own, times a share of up to `largest`. Where more than `MOST_DROPPED`
    of the points lie in it, the cloud stays whole. Sautier et al., "Image-to-Lidar Self-Supervised
    Distillation for Autonomous Driving Data", CVPR 2022 (SLidR).
    """
    along = np.ascontiguousarray(arrays["points"].transpose(0, 2, 1))  # rows of three are slow to compare
    is_real = _is_real(arrays, counts)
    low = np.where(is_real[:, None], along, np.inf).min(axis=2)
    high = np.where(is_real[:, None], along, -np.inf).max(axis=2)
    half_edges = (high - low) * draws.uniform("cuboid size", 1, 0, largest) / 2
    middles = along[np.arange(len(counts)), :, (draws.uniform("cuboid", 1)[:, 0] * counts).astype(np.int64)]
    is_inside = (np.abs(along - middles[..., None]) < half_edges[..., None]).all(axis=1) & is_real
    is_inside &= (is_inside.sum(axis=1) <= MOST_DROPPED * counts)[:, None]
    return _first(arrays, is_real & ~is_inside), counts - is_inside.sum(axis=1)


def in_window(
    split: CachedSplit,
    rows: Int64[np.ndarray, " clouds"],
    edge: float,
    most: int,
    draws: KeyedDraws,
    *,
    fewest: int = 1,
) -> tuple[Int64[np.ndarray, "clouds {most}"], Int64[np.ndarray, " clouds"]]:
    """Places of the first `most` stored points of each cloud that a window shows, and how many these are.

    The window is a square with this edge on the ground (x, z), around a point that is drawn. It is larger
    where it would show less than the `fewest` points, up to `most`, of a cloud that has them.
    """
    places, counts = np.zeros((len(rows), most), np.int64), np.zeros(len(rows), np.int64)
    middles = (draws.uniform("window", 1)[:, 0] * split.lengths(rows)).astype(np.int64)
    for cloud, (row, middle) in enumerate(zip(rows, middles, strict=True)):
        x, _, z = split.arrays(int(row), ("points",))["points"].T
        distances = np.maximum(np.abs(x - x[middle]), np.abs(z - z[middle]))
        shown = np.flatnonzero(distances <= edge / 2)[:most]
        if len(shown) < fewest:
            shown = np.sort(np.argsort(distances, kind="stable")[: min(fewest, most)])
        places[cloud, : len(shown)], counts[cloud] = shown, len(shown)
    return places, counts


def _is_real(arrays: Arrays, counts: Int64[np.ndarray, " batch"]) -> Bool[np.ndarray, "batch points"]:
    """Which rows belong to a cloud."""
    is_real: Bool[np.ndarray, "batch points"] = np.arange(arrays["points"].shape[1]) < counts[:, None]
    return is_real


def _first(arrays: Arrays, is_kept: Bool[np.ndarray, "batch points"]) -> Arrays:
    """The arrays with the kept rows of each cloud in front, as they were among each other."""
    order = np.argsort(~is_kept, axis=1, kind="stable")
    return {
        name: np.take_along_axis(values, order if values.ndim == 2 else order[..., None], axis=1)
        for name, values in arrays.items()
    }


def _in_unit_sphere(
    points: Float32[np.ndarray, "batch points 3"],
    is_shown: Bool[np.ndarray, "batch points 1"],
    counts: Int64[np.ndarray, " batch"],
) -> Float32[np.ndarray, "batch points 3"]:
    """The shown points centred on their mean, the farthest at radius 1; the others hold anything."""
    wide = points.astype(np.float64)
    wide -= (wide * is_shown).sum(1, keepdims=True) / counts[:, None, None]
    radius = np.sqrt(((wide * is_shown) ** 2).sum(2).max(1))
    wide /= np.where(radius > 0, radius, 1)[:, None, None]
    return wide.astype(np.float32)
