"""What the arrays of an npz file of clouds must be; an error names the array, its shape and its type."""

from collections.abc import Mapping

import numpy as np
from jaxtyping import Float64, Shaped

from pointlab.data.formats.zipped_arrays import ZippedArray, ZippedArrays
from pointlab.data.source import Split


def require_clouds(arrays: ZippedArrays, name: str, *, is_scaled: bool) -> ZippedArray:
    """The array (clouds, points, 3) called `name`, of floats, or of any numbers where `is_scaled`."""
    clouds = arrays[name]
    kinds, what = ("iuf", "numbers") if is_scaled else ("f", "floats, or integers with `points_scale`,")
    if clouds.dtype.kind not in kinds or len(clouds.shape) != 3 or clouds.shape[2] != 3 or 0 in clouds.shape:
        raise arrays.misfit(f"holds {clouds}", f"{what} of shape (clouds, points, 3)")
    return clouds


def require_grids(arrays: ZippedArrays, name: str) -> ZippedArray:
    """The array (clouds, x, y, z) of numbers called `name`."""
    grids = arrays[name]
    if grids.dtype.kind not in "biuf" or len(grids.shape) != 4 or 0 in grids.shape:
        raise arrays.misfit(f"holds {grids}", "numbers of shape (clouds, x, y, z)")
    return grids


def require_normals(arrays: ZippedArrays, name: str, points: ZippedArray) -> ZippedArray:
    """The array called `name`, of the shape of `points`."""
    normals = arrays[name]
    if normals.shape != points.shape or normals.dtype.kind not in "if":
        raise arrays.misfit(f"holds {normals}", f"numbers of shape {points.shape}, one normal a point")
    return normals


def occupied_centres(grid: Shaped[np.ndarray, "x y z"]) -> Float64[np.ndarray, "points 3"]:
    """Centres of the positive voxels, in edges of a voxel from the corner of the grid."""
    return np.argwhere(grid > 0) + 0.5


def read_number(arrays: ZippedArrays, name: str) -> float:
    """The one number of the array called `name`."""
    stored = arrays[name]
    if stored.shape not in {(), (1,)} or stored.dtype.kind not in "iuf":
        raise arrays.misfit(f"holds {stored}", "one number, the scale of the points")
    return float(stored.whole().reshape(-1)[0])


def read_names(arrays: ZippedArrays, name: str) -> tuple[str, ...]:
    """The strings of the array called `name`."""
    stored = arrays[name]
    if stored.dtype.kind != "U" or len(stored.shape) != 1:
        raise arrays.misfit(f"holds {stored}", "a list of names")
    return tuple(stored.whole().tolist())


def read_splits(
    arrays: ZippedArrays, name: str, split_of: Mapping[str, Split], num_clouds: int
) -> list[Split]:
    """The split of every cloud, by what the array called `name` says; all of its values must be known."""
    stored = arrays[name]
    if stored.shape not in {(num_clouds,), (num_clouds, 1)}:
        raise arrays.misfit(f"holds {stored}", f"shape ({num_clouds},), one value a cloud")
    values = [str(value) for value in stored.whole().reshape(-1).tolist()]
    unknown = sorted(set(values) - set(split_of))
    if unknown:
        raise arrays.misfit(f"has clouds of the splits {unknown}", f"one of `split_values`: {list(split_of)}")
    return [split_of[value] for value in values]
