"""Clouds and labels as the pickles of ModelNet hold them: one array a cloud, one small array a label."""

from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from jaxtyping import Float32

from pointlab.data.formats.axes import UpAxis, to_y_up
from pointlab.data.formats.modelnet import require_points
from pointlab.data.formats.pickles import StoredArray, load_array
from pointlab.data.sample import Cloud
from pointlab.errors import DataError

Vectors = Float32[np.ndarray, "points 3"]


def misfit(path: Path, found: str, expected: str) -> DataError:
    """The error of a pickle that is whole but holds something else than its format says."""
    return DataError(
        f"{path} holds {found}.",
        expected=expected,
        remedy="check that `kind` is the format of this file, or save or download it again",
    )


def require_cloud(value: Any, path: Path, row: int) -> StoredArray:
    """`value`, when it is an array of points, with normals or without; DataError otherwise."""
    if not isinstance(value, StoredArray):
        raise misfit(path, f"a value of type {type(value).__name__} as cloud {row}", "one array a cloud")
    if len(value.shape) != 2 or value.shape[1] not in {3, 6} or not value.shape[0] or value.dtype.kind != "f":
        found = f"an array of shape {value.shape} and type {value.dtype} as cloud {row}"
        raise misfit(path, found, "floats of shape (points, 6) or (points, 3)")
    return value


def read_integer(value: Any, stream: BinaryIO, path: Path, row: int) -> int:
    """The number `value`, or the one in this array; DataError where it is neither."""
    if isinstance(value, StoredArray) and value.dtype.kind in "iu" and value.shape in {(), (1,), (1, 1)}:
        return int(load_array(stream, value).reshape(-1)[0])
    if type(value) is not int:
        raise misfit(path, f"a label of type {type(value).__name__} in row {row}", "one integer a cloud")
    return value


def load_cloud(
    array: StoredArray, stream: BinaryIO, label: int | None, num_points: int | None, up_axis: UpAxis
) -> Cloud:
    """The cloud stored in `array`, its first `num_points` points, y up, with normals where it has them."""
    kept = require_points(Path(stream.name), array.shape[0], num_points)
    values = load_array(stream, array)[:kept].astype(np.float32)
    points = np.ascontiguousarray(to_y_up(values[:, :3], up_axis))
    normals = np.ascontiguousarray(to_y_up(values[:, 3:], up_axis)) if values.shape[1] == 6 else None
    return Cloud(points, label=label, normals=normals)
