"""The colour pictures of a cached split: kept as the files they came as, decoded when a batch wants them.

A JPEG is a tenth of its pixels and a batch shows one picture of each cloud, so the cache holds the files of
all of them end to end, and memory only what is decoded.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Float64, Int64, UInt8

from pointlab.data.growing import GrowingArray
from pointlab.data.picture_crops import Crops
from pointlab.data.pictures import decode_colour
from pointlab.errors import DataError

PICTURES = "pictures"
"""Folder of a cached split that holds them, where any cloud has one."""
NO_PICTURE = -1
"""In the place of a number."""


class PictureWriter:
    """Lays the pictures of a split end to end, shard by shard; where there are none, it writes nothing."""

    def __init__(self, folder: Path) -> None:
        """Nothing is made before the first picture."""
        self._folder = folder
        self._content: GrowingArray | None = None
        self._sizes: list[int] = []
        self._numbers: list[Int64[np.ndarray, " clouds"]] = []

    def __enter__(self) -> "PictureWriter":
        return self

    def append(self, pictures: Sequence[bytes], num_pictures: Int64[np.ndarray, " clouds"]) -> None:
        """Add the files of further clouds, of which each has so many."""
        self._numbers.append(num_pictures)
        if not pictures:
            return
        if self._content is None:
            self._folder.mkdir()
            self._content = GrowingArray(self._folder / "content.npy", np.zeros(0, np.uint8))
        for picture in pictures:  # one at a time: together they may be as large as the rest of a shard
            self._content.append(np.frombuffer(picture, np.uint8))
        self._sizes += [len(picture) for picture in pictures]

    def __exit__(self, *problem: object) -> None:
        if self._content is None:
            return
        self._content.__exit__(*problem)
        np.save(self._folder / "borders.npy", _borders(np.array(self._sizes, np.int64)))
        np.save(self._folder / "firsts.npy", _borders(np.concatenate(self._numbers)))


def _borders(lengths: Int64[np.ndarray, " parts"]) -> Int64[np.ndarray, " _"]:
    borders: Int64[np.ndarray, " _"] = np.concatenate([np.zeros(1, np.int64), np.cumsum(lengths)])
    return borders


class CachedPictures:
    """Pictures of the clouds of a split: those of cloud i are numbers `firsts[i]` to `firsts[i + 1]`."""

    def __init__(self, folder: Path) -> None:
        """Map what was written."""
        names = ("content", "borders", "firsts")
        mapped = (np.load(folder / f"{name}.npy", mmap_mode="r").view(np.ndarray) for name in names)
        self._content, self._borders, self._firsts = mapped

    def __len__(self) -> int:
        return len(self._borders) - 1

    def numbers(
        self, rows: Int64[np.ndarray, " clouds"], draws: Float64[np.ndarray, " clouds"]
    ) -> Int64[np.ndarray, " clouds"]:
        """Number of one picture of each of these clouds: of its own, the one that a draw in [0, 1) falls on.

        `NO_PICTURE` where a cloud has none.
        """
        first, past = self._firsts[rows], self._firsts[rows + 1]
        chosen = first + (draws * (past - first)).astype(np.int64)
        return np.where(first == past, NO_PICTURE, chosen)

    def are_of(self, numbers: Int64[np.ndarray, " clouds"], rows: Int64[np.ndarray, " clouds"]) -> bool:
        """Whether each of these pictures, where there is one, is of the cloud of its row."""
        is_own = (self._firsts[rows] <= numbers) & (numbers < self._firsts[rows + 1])
        return bool((is_own | (numbers == NO_PICTURE)).all())

    def decoded(
        self,
        numbers: Int64[np.ndarray, " pictures"],
        ids: Int64[np.ndarray, " clouds"],
        crops: Crops | None = None,
    ) -> UInt8[np.ndarray, "pictures height width 3"]:
        """What `crops` show of the pictures of these numbers, or all of them as they are.

        Black in the places of `NO_PICTURE`; `ids` are those of all clouds. Raises DataError, which names a
        cloud by its id, where what comes out differs in size.
        """
        places = np.flatnonzero(numbers != NO_PICTURE).tolist()
        owners = [self._owner(number, ids) for number in numbers[places].tolist()]
        found = []
        for place, owner in zip(places, owners, strict=True):
            picture = self._decode(int(numbers[place]), owner)
            found.append(picture if crops is None else crops.shown(picture, place))
        _require_one_size(found, owners)
        size = None if crops is None else crops.size
        shape = size or (found[0] if found else self._decode(0, self._owner(0, ids))).shape[:2]
        pictures = np.zeros((len(numbers), *shape, 3), np.uint8)
        for place, picture in zip(places, found, strict=True):
            pictures[place] = picture
        return pictures

    def _owner(self, number: int, ids: Int64[np.ndarray, " clouds"]) -> int:
        """Id of the cloud that a picture is of."""
        return int(ids[np.searchsorted(self._firsts, number, side="right") - 1])

    def _decode(self, number: int, owner: int) -> UInt8[np.ndarray, "height width 3"]:
        content = self._content[self._borders[number] : self._borders[number + 1]].tobytes()
        return decode_colour(content, f"A picture of cloud {owner}")


def _require_one_size(pictures: list[UInt8[np.ndarray, "_ _ 3"]], owners: list[int]) -> None:
    others = [place for place, picture in enumerate(pictures) if picture.shape != pictures[0].shape]
    if others:
        sizes = [f"{pictures[place].shape[1]} x {pictures[place].shape[0]}" for place in (0, others[0])]
        raise DataError(
            f"The pictures of a batch differ in size: cloud {owners[0]} has {sizes[0]} pixels, cloud"
            f" {owners[others[0]]} has {sizes[1]}.",
            expected="one width and height for all pictures of a set",
            remedy="scale or render the source's pictures to one size and prepare the set again, or set"
            " picture_size where the paradigm has one",
        )
