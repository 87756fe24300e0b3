"""Labels as files hold them: one integer a cloud, each the place of a class in the list of names."""

from pathlib import Path

import h5py
import numpy as np
from jaxtyping import Int64

from pointlab.errors import DataError


def require_labels(
    array: np.ndarray | h5py.Dataset, where: str, num_clouds: int, num_classes: int
) -> Int64[np.ndarray, " clouds"]:
    """The labels of `num_clouds` clouds, from an array of shape (clouds,) or (clouds, 1) of the file `where`.

    Raises DataError for another shape, for numbers that are not integers, and for a class that the set
    has not, naming its row.
    """
    if array.shape not in {(num_clouds,), (num_clouds, 1)} or array.dtype.kind not in "iu":
        raise DataError(
            f"{where} has labels of shape {array.shape} and type {array.dtype}.",
            expected=f"integers of shape ({num_clouds},) or ({num_clouds}, 1), one a cloud",
            remedy="check that `kind` is the format of this file, or save or download it again",
        )
    labels = np.asarray(array[...]).reshape(-1).astype(np.int64)  # read when its shape is known to be right
    outside = np.flatnonzero((labels < 0) | (labels >= num_classes))
    if outside.size:
        raise _outside(where, int(labels[outside[0]]), int(outside[0]), num_classes)
    return labels


def require_label(value: int, path: Path, row: int, num_classes: int) -> int:
    """`value`, the label of one row; DataError for a class that the set has not."""
    if not 0 <= value < num_classes:
        raise _outside(str(path), value, row, num_classes)
    return value


def _outside(where: str, label: int, row: int, num_classes: int) -> DataError:
    return DataError(
        f"{where} has label {label} in row {row}.",
        expected=f"0 to {num_classes - 1}, the places in the list of class names",
        remedy="check that the list of class names belongs to this file",
    )
