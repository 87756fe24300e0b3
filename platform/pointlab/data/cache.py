"""The decoded cache: a split's arrays as memory-mapped files on the machine that trains.

Filled once from verified shards and kept under the dataset's hash, it makes reading a random cloud a
matter of a memory copy; pictures stay the files they are. A fill holds one shard in memory at a time; it is
written aside and renamed, so a reader meets a whole one or none; the oldest sets leave when the bound is
passed.
"""

import os
from collections.abc import Callable, Iterable, Mapping
from functools import cached_property
from itertools import takewhile
from pathlib import Path

import numpy as np
from jaxtyping import Float32, Float64, Int64, UInt8

from pointlab.data.cache_room import bytes_allowed, make_room
from pointlab.data.cached_pictures import NO_PICTURE, PICTURES, CachedPictures
from pointlab.data.cached_pixels import PIXELS, CachedPixels, open_pixels
from pointlab.data.captions import CAPTIONS, NO_CAPTION, CachedCaptions
from pointlab.data.filling import fill, is_filled, shards_of, splits_of
from pointlab.data.picture_crops import Crops
from pointlab.data.source import SPLITS
from pointlab.errors import DataError
from pointlab.storage import Storage, read_manifest


def cache_folder() -> Path:
    """`POINTLAB_CACHE`, or a folder in the user's cache."""
    return Path(os.environ.get("POINTLAB_CACHE") or Path.home() / ".cache" / "pointlab")


class CachedSplit:
    """One split of a prepared set, mapped from disk.

    It has `ids`, `labels`, `groups`, per-point arrays and, where there are any, pictures and captions.

    Pictures have numbers that are unique in the set: `num_pictures` of them from `first_picture` on. That no
    cloud of a split has a picture or a caption is no error: each of its clouds lacks one.
    """

    def __init__(
        self,
        folder: Path,
        open_other: "Callable[[str], CachedSplit | None]" = lambda _: None,
        read_shards: Callable[[], Iterable[bytes]] = tuple,
    ) -> None:
        """Map the arrays of a filled cache folder.

        The first function opens another split of the set, None where there is none of this name; by default,
        the split is the only one. The other reads the shards that it was filled from once more, for what is
        computed on demand.
        """
        mapped = {path.stem: np.load(path, mmap_mode="r") for path in sorted(folder.glob("*.npy"))}
        arrays = {name: array.view(np.ndarray) for name, array in mapped.items()}
        self.folder = folder
        self.ids, self.labels, self.offsets = (arrays.pop(name) for name in ("ids", "labels", "offsets"))
        self.groups = arrays.pop("groups")
        self.per_point = arrays
        pictures, captions = folder / PICTURES, folder / CAPTIONS
        self._pictures = CachedPictures(pictures) if pictures.exists() else None
        self._captions = CachedCaptions(captions) if captions.exists() else None
        self._open_other, self._read_shards = open_other, read_shards

    def __len__(self) -> int:
        return len(self.ids)

    def arrays(self, row: int, names: tuple[str, ...]) -> dict[str, np.ndarray]:
        """Per-point arrays of one cloud, in stored order."""
        self._require(names)
        first, last = self.offsets[row], self.offsets[row + 1]
        return {name: self.per_point[name][first:last] for name in names}

    def lengths(self, rows: Int64[np.ndarray, " clouds"]) -> Int64[np.ndarray, " clouds"]:
        """Number of stored points of each of these clouds."""
        lengths: Int64[np.ndarray, " clouds"] = self.offsets[rows + 1] - self.offsets[rows]
        return lengths

    def gather(
        self,
        rows: Int64[np.ndarray, " clouds"],
        places: Int64[np.ndarray, "clouds places"],
        names: tuple[str, ...],
    ) -> dict[str, np.ndarray]:
        """Per-point arrays [clouds, places, ...] of these clouds, at these places of their stored order.

        A place past a cloud's end holds anything.
        """
        self._require(names)
        at = (self.offsets[rows][:, None] + places).reshape(-1)
        return {
            name: np.take(self.per_point[name], at, axis=0, mode="clip").reshape(
                *places.shape, *self.per_point[name].shape[1:]
            )
            for name in names
        }

    @property
    def num_pictures(self) -> int:
        """How many colour pictures all clouds have together."""
        return 0 if self._pictures is None else len(self._pictures)

    @cached_property
    def first_picture(self) -> int:
        """Number of the first picture; they are counted through the splits of the set, in their order.

        The first call opens the splits before this one, see `open_split`.
        """
        before = map(self._open_other, takewhile(lambda name: name != self.folder.name, SPLITS))
        return sum(split.num_pictures for split in before if split is not None)

    def picture_numbers(
        self, rows: Int64[np.ndarray, " clouds"], draws: Float64[np.ndarray, " clouds"]
    ) -> Int64[np.ndarray, " clouds"]:
        """Number of a picture of each of these clouds: of its own, the one that a draw in [0, 1) falls on.

        `NO_PICTURE` where a cloud has none; nothing is decoded.
        """
        if self._pictures is None:
            return np.full(len(rows), NO_PICTURE)
        numbers = self._pictures.numbers(rows, draws)
        return np.where(numbers == NO_PICTURE, NO_PICTURE, numbers + self.first_picture)

    def decoded(
        self, numbers: Int64[np.ndarray, " pictures"], crops: Crops | None = None
    ) -> UInt8[np.ndarray, "pictures height width 3"]:
        """What `crops` show of the pictures of these numbers, in their order, or all of them as they are.

        They are black in the places of `NO_PICTURE`. Raises DataError where no split of the set has pictures:
        black ones would have no size.
        """
        within = self._within(numbers)
        if self._pictures is None:
            elsewhere = self._shape_elsewhere
            size = elsewhere[:2] if crops is None or crops.size is None else crops.size
            return np.zeros((len(numbers), *size, 3), np.uint8)
        return self._pictures.decoded(within, self.ids, crops)

    def pixels(
        self,
        rows: Int64[np.ndarray, " clouds"],
        places: Int64[np.ndarray, "clouds places"],
        numbers: Int64[np.ndarray, " clouds"],
    ) -> Float32[np.ndarray, "clouds places 2"]:
        """(column, row) of the points of these clouds at these places, each in the picture of its number.

        The number is that of a picture of the cloud, or `NO_PICTURE`. (-1, -1) where it does not show the
        point; a place past a cloud's end holds anything. They are computed where this machine has not done
        so yet. Raises DataError where no picture of the set has a known camera.
        """
        within = self._within(numbers)
        assert self._pictures is None or self._pictures.are_of(within, rows), "pictures of these clouds"
        return self._pixels.gather(within, places)

    def picture_sizes(self, numbers: Int64[np.ndarray, " pictures"]) -> Int64[np.ndarray, "pictures 2"]:
        """Width and height of these pictures as stored, as `pixels` refer to them; 1 by 1 without one."""
        return self._pixels.sizes(self._within(numbers))

    @property
    def pixel_counts(self) -> Mapping[str, int]:
        """How many `pictures` have pixels of points, by how many known `cameras`, and points by `Reason`.

        A point counts once for each picture of its cloud. Computed, and refused, as `pixels` are.
        """
        return self._pixels.counts

    def require_pixels(self) -> None:
        """Compute the pixels of points where this machine has not; DataError as `pixels` raises it."""
        assert self._pixels

    @cached_property
    def _pixels(self) -> CachedPixels:
        found = self._pixels_or_none
        if found.counts["cameras"] == 0 and not self._are_cameras_elsewhere():
            raise DataError(
                f"No cloud of {self.folder.parent.name} has a picture whose camera is known: points have no"
                " pixels.",
                remedy="choose a set of RGB-D frames, such as the built-in rooms or 7-Scenes, of LiDAR with"
                " cameras, or the built-in shapes with source.num_views",
            )
        return found

    def _are_cameras_elsewhere(self) -> bool:
        others = (self._open_other(name) for name in SPLITS if name != self.folder.name)
        return any(split is not None and split._pixels_or_none.counts["cameras"] > 0 for split in others)

    @cached_property
    def _pixels_or_none(self) -> CachedPixels:
        """What pictures of this split show, which may be nothing."""
        is_new = not (self.folder / PIXELS).exists()
        found = open_pixels(self.folder, self._read_shards)
        if is_new:
            make_room(self.folder.parents[1], bytes_allowed(), keep=self.folder.parent.name)
        return found

    def _within(self, numbers: Int64[np.ndarray, " pictures"]) -> Int64[np.ndarray, " pictures"]:
        """Numbers within this split of pictures of these numbers in the set."""
        is_none, within = numbers == NO_PICTURE, numbers - self.first_picture
        assert (is_none | ((within >= 0) & (within < self.num_pictures))).all(), "pictures of this split"
        return np.where(is_none, NO_PICTURE, within)

    @cached_property
    def _shape_elsewhere(self) -> tuple[int, ...]:
        """Height, width and channels of the pictures of the set, where this split has none."""
        for split in map(self._open_other, (name for name in SPLITS if name != self.folder.name)):
            if split is not None and split.num_pictures > 0:
                return split.decoded(np.array([NO_PICTURE])).shape[1:]
        raise DataError(
            f"No cloud of {self.folder.parent.name} has pictures.",
            remedy="prepare it with views (source.num_views of shapes), choose a set that has them, or a"
            " paradigm that does without",
        )

    def captions(self, rows: Int64[np.ndarray, " clouds"]) -> Int64[np.ndarray, " clouds"]:
        """Hash of the caption of each of these clouds, -1 where one has none; see `caption_texts`."""
        if self._captions is None:
            return np.full(len(rows), NO_CAPTION)
        hashes: Int64[np.ndarray, " clouds"] = self._captions.hashes[rows]
        return hashes

    @property
    def caption_texts(self) -> dict[int, str]:
        """The captions of this split by their hashes; none where no cloud has one."""
        return {} if self._captions is None else self._captions.texts

    def _require(self, names: tuple[str, ...]) -> None:
        missing = [name for name in names if name not in self.per_point]
        if missing:
            estimate = "prepare it with data.estimate_normals: 16, " if "normals" in missing else ""
            raise DataError(
                f"{self.folder.parent.name} has {', '.join(self.per_point)}, but no {missing[0]}.",
                remedy=f"{estimate}choose a set that has them, or a paradigm that does without",
            )


def open_split(storage: Storage, dataset: str, split: str) -> CachedSplit:
    """The split, decoded into this machine's cache first if it is not there as this version writes it.

    Raises DataError for a set or split that does not exist, StorageError for a damaged shard.
    """
    folder = cache_folder() / dataset / split
    if not is_filled(folder):
        bound = bytes_allowed()
        try:
            fill(storage, dataset, split, folder)
        except OSError as error:
            raise DataError(
                f"The cache {cache_folder()} cannot be filled: {error}.",
                expected="a folder on a local disk with room for the decoded set",
                remedy="point POINTLAB_CACHE elsewhere, or free some space",
            ) from error
        os.utime(folder.parent)
        make_room(cache_folder(), bound, keep=dataset)
    os.utime(folder.parent)

    def open_other(name: str) -> CachedSplit | None:
        return open_split(storage, dataset, name) if _exists(storage, dataset, name) else None

    return CachedSplit(folder, open_other, lambda: shards_of(storage, dataset, split))


def _exists(storage: Storage, dataset: str, split: str) -> bool:
    """Whether the set has such a split; the store is asked only where the cache does not know."""
    if is_filled(cache_folder() / dataset / split):
        return True
    manifest = read_manifest(storage, f"datasets/{dataset}")
    return manifest is not None and split in splits_of(manifest)
