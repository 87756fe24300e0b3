"""Files of one numpy array, opened without reading it and without unpickling anything."""

from pathlib import Path

import numpy as np

from pointlab.data.formats.files import require_file
from pointlab.errors import DataError


def open_npy(path: Path) -> np.ndarray:
    """The array of an npy file, mapped: what is not looked at is not read. DataError where it is damaged."""
    try:
        array = np.load(require_file(path), mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError, OverflowError, SyntaxError) as error:
        raise DataError(
            f"{path} cannot be read: {str(error).rstrip('.')}.",
            expected="a whole npy file of numbers",
            remedy="save or download it again; an array of objects is never opened, as it may run code",
        ) from None
    if not isinstance(array, np.ndarray):
        array.close()
        raise DataError(
            f"{path} is an archive of arrays.",
            expected="an npy file of one array",
            remedy="use the source of kind npz",
        )
    return array


def require_points_array(array: np.ndarray, path: Path, ndim: int) -> None:
    """DataError unless the array holds floats, in `ndim` dimensions, the last of them three coordinates."""
    is_fit = array.ndim == ndim and array.shape[-1] == 3 and 0 not in array.shape
    if not is_fit or array.dtype.kind != "f":
        raise DataError(
            f"{path} is an array of shape {array.shape} and type {array.dtype}.",
            expected=f"floats of shape {'(clouds, points, 3)' if ndim == 3 else '(points, 3)'}",
            remedy="check that `kind` is the format of this file, or save or download it again",
        )
