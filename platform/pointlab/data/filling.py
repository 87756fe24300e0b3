"""What a fill of the cache writes: a split's arrays end to end, its pictures and its captions."""

import contextlib
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from pointlab.data.cached_pictures import PICTURES, PictureWriter
from pointlab.data.captions import CAPTIONS, CaptionWriter
from pointlab.data.growing import GrowingArray
from pointlab.data.shards import Attached, Columns
from pointlab.errors import DataError


def write_split(folder: Path, shards: Iterable[tuple[Columns, Attached]]) -> None:
    """Lay the shards end to end in a file for each array, holding a single shard at a time.

    Raises DataError where some clouds have an array that others lack.
    """
    small: dict[str, list[np.ndarray]] = {"ids": [], "labels": [], "groups": [], "lengths": []}
    captions = CaptionWriter()
    with contextlib.ExitStack() as open_files:
        growing: dict[str, GrowingArray] = {}
        pictures = open_files.enter_context(PictureWriter(folder / PICTURES))
        for shard, attached in shards:
            if len(shard.ids) == 0:
                continue
            for name, values in shard.per_point.items():
                if name not in growing:
                    growing[name] = open_files.enter_context(GrowingArray(folder / f"{name}.npy", values))
                growing[name].append(values)
            for name in ("ids", "labels", "groups"):
                small[name].append(getattr(shard, name))
            small["lengths"].append(np.diff(shard.offsets))
            pictures.append(attached.pictures, attached.num_pictures)
            captions.append(attached.captions)
    lengths = np.concatenate(small.pop("lengths"))
    _require_whole(growing, int(lengths.sum()))
    captions.save(folder / CAPTIONS)
    np.save(folder / "offsets.npy", np.concatenate([[0], np.cumsum(lengths)]))
    for name, parts in small.items():
        np.save(folder / f"{name}.npy", np.concatenate(parts))


def _require_whole(arrays: dict[str, GrowingArray], num_points: int) -> None:
    uneven = [name for name, array in arrays.items() if len(array) != num_points]
    if uneven:
        raise DataError(
            f"Some clouds of this set have no {uneven[0]}, others do.",
            expected="the same arrays in all clouds",
            remedy="prepare the set again",
        )
