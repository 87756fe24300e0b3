"""The pictures of the splits that a training reads, by their numbers in batches, for teachers to see once."""

import numpy as np
from jaxtyping import Int64, UInt8

from pointlab.data.cache import CachedSplit
from pointlab.data.picture_crops import PictureCropConfig, whole
from pointlab.errors import DataError


def numbers_of_all(splits: list[CachedSplit]) -> Int64[np.ndarray, " pictures"]:
    """The numbers of all pictures of these splits, which count up from zero: the rows of a table."""
    numbers = np.concatenate([_numbers_of(split) for split in splits])
    assert np.array_equal(numbers, np.arange(len(numbers))), "the row of a picture in a table is its number"
    return numbers


def decoded(
    splits: list[CachedSplit],
    numbers: Int64[np.ndarray, " pictures"],
    crop: PictureCropConfig | None = None,
) -> UInt8[np.ndarray, "pictures height width 3"]:
    """The pictures of these numbers, which ascend as those of the splits do: whole, in the size that `crop`
    names."""
    of_splits = (numbers[np.isin(numbers, _numbers_of(split))] for split in splits)
    pairs = [(split, wanted) for split, wanted in zip(splits, of_splits, strict=True) if len(wanted) > 0]
    crops = [None if crop is None else whole(len(wanted), crop) for _, wanted in pairs]
    parts = zip(pairs, crops, strict=True)
    return np.concatenate([split.decoded(wanted, shown) for (split, wanted), shown in parts])


def require_one_size(splits: list[CachedSplit]) -> None:
    """DataError where pictures of these splits differ in size as stored, so that pixels of one lie elsewhere
    in another."""
    sizes = np.concatenate([split.picture_sizes(_numbers_of(split)) for split in splits])
    others = np.flatnonzero((sizes != sizes[:1]).any(1))
    if len(others) > 0:
        some, other = (f"{width} x {height}" for width, height in sizes[[0, others[0]]].tolist())
        raise DataError(
            f"The pictures of {splits[0].folder.parent.name} differ in size: some have {some} pixels,"
            f" others {other}.",
            expected="one width and height for all that are learned of",
            remedy="set paradigm.picture_size to the height and width at which the teacher sees all of them",
        )


def _numbers_of(split: CachedSplit) -> Int64[np.ndarray, " pictures"]:
    return split.first_picture + np.arange(split.num_pictures)
