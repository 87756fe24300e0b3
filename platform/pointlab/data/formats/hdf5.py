"""HDF5 files of clouds, opened and checked with errors that name the file and the key."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import h5py
import numpy as np
from jaxtyping import Float32, Int64, Shaped

from pointlab.data.formats.files import require_file
from pointlab.data.formats.labels import require_labels
from pointlab.errors import DataError


@contextmanager
def open_hdf5(path: Path) -> Iterator[h5py.File]:
    """The file, open for reading; DataError where it or anything read from it is missing or damaged."""
    try:
        with h5py.File(require_file(path), "r") as file:
            yield file
    except (OSError, RuntimeError) as error:  # h5py raises either, by where the damage lies
        raise DataError(
            f"{path} cannot be read: {error}.",
            expected="a whole HDF5 file",
            remedy="save or download it again; a partial download is the usual cause",
        ) from None


def require_dataset(file: h5py.File, key: str) -> h5py.Dataset:
    """The array stored under `key`; DataError, with the keys that are there, where it is missing."""
    dataset = file.get(key)
    if not isinstance(dataset, h5py.Dataset):
        raise DataError(
            f"{file.filename} holds the keys {sorted(file)}.",
            expected=f"an array under {key!r}",
            remedy="check that `kind` is the format of this file",
        )
    return dataset


def require_vectors(file: h5py.File, key: str) -> h5py.Dataset:
    """The array under `key` when it is (clouds, points, 3) floats and not empty; DataError otherwise."""
    dataset = require_dataset(file, key)
    if dataset.ndim != 3 or dataset.shape[2] != 3 or 0 in dataset.shape or dataset.dtype.kind != "f":
        raise DataError(
            f"{file.filename} holds under {key!r} {_in_words(dataset)}.",
            expected="floats of shape (clouds, points, 3), with at least one cloud and one point",
            remedy="check that `kind` is the format of this file, or save or download it again",
        )
    return dataset


def read_labels(file: h5py.File, num_clouds: int, num_classes: int) -> Int64[np.ndarray, " clouds"]:
    """Class of every cloud, from the array `label` of shape (clouds,) or (clouds, 1).

    Raises DataError for another shape, for numbers that are not integers, and for a class that the set
    has not, naming its row.
    """
    return require_labels(require_dataset(file, "label"), file.filename, num_clouds, num_classes)


def read_vectors(
    dataset: h5py.Dataset, rows: Int64[np.ndarray, " clouds"], num_points: int
) -> Float32[np.ndarray, "clouds {num_points} 3"]:
    """The first `num_points` vectors of these rows, in their order, in one pass over the file."""
    return read_rows(dataset, rows, num_points).astype(np.float32, copy=False)


def read_rows(
    dataset: h5py.Dataset, rows: Int64[np.ndarray, " clouds"], num_points: int
) -> Shaped[np.ndarray, "clouds {num_points} ..."]:
    """What is stored of the first `num_points` points of these rows, in their order, as it is stored.

    HDF5 selects rows in rising order only, so each is read once and then put where it was asked for. It
    decompresses a chunk at a time, so memory is that of the rows and of a chunk.
    """
    stored_order, places = np.unique(rows, return_inverse=True)
    if rows.size and (stored_order[0] < 0 or stored_order[-1] >= len(dataset)):
        raise DataError(
            f"{dataset.file.filename} holds {len(dataset)} clouds.",
            expected=f"rows {stored_order[0]} to {stored_order[-1]}, as indexed before",
            remedy="the file has changed since: index the dataset again",
        )
    return np.asarray(dataset[stored_order, :num_points])[places]


def _in_words(dataset: h5py.Dataset) -> str:
    return f"an array of shape {dataset.shape} and type {dataset.dtype}"
