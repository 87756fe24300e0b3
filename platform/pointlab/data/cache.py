"""The decoded cache: a split's arrays as memory-mapped files on the machine that trains.

Filled once from verified shards and kept under the dataset's hash, it makes reading a random cloud a
matter of a memory copy; pictures stay the files they are. A fill holds one shard in memory at a time; it is
written aside and renamed, so a reader meets a whole one or none; the oldest sets leave when the bound is
passed.
"""

import contextlib
import os
import shutil
import tempfile
from collections.abc import Callable, Iterable
from functools import cached_property
from itertools import takewhile
from pathlib import Path

import numpy as np
from jaxtyping import Float64, Int64, UInt8

from pointlab.data.cached_pictures import NO_PICTURE, PICTURES, CachedPictures
from pointlab.data.captions import CAPTIONS, NO_CAPTION, CachedCaptions
from pointlab.data.filling import write_split
from pointlab.data.shards import decode_attached, decode_shard
from pointlab.data.source import SPLITS
from pointlab.errors import DataError
from pointlab.storage import Manifest, Storage, read_manifest
from pointlab.storage.artifact import read_verified

DEFAULT_BOUND = 64 << 30
LAYOUT = "2"
"""What a fill writes. A split that was filled with another layout, by another version, is filled again: it
may lack what was stored (1 had no pictures and captions), and nobody could tell."""


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
        self, folder: Path, open_other: "Callable[[str], CachedSplit | None]" = lambda _: None
    ) -> None:
        """Map the arrays of a filled cache folder.

        The function opens another split of the set, None where there is none of this name; by default, the
        split is the only one.
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
        self._open_other = open_other

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
        self, numbers: Int64[np.ndarray, " pictures"]
    ) -> UInt8[np.ndarray, "pictures height width 3"]:
        """The pictures of these numbers, in their order; black ones in the places of `NO_PICTURE`.

        Raises DataError where no split of the set has pictures: black ones would have no size.
        """
        is_none, within = numbers == NO_PICTURE, numbers - self.first_picture
        assert (is_none | ((within >= 0) & (within < self.num_pictures))).all(), "pictures of this split"
        if self._pictures is None:
            return np.zeros((len(numbers), *self._shape_elsewhere), np.uint8)
        return self._pictures.decoded(np.where(is_none, NO_PICTURE, within), self.ids)

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
    if not _is_filled(folder):
        bound = _bound()
        try:
            _fill(storage, dataset, split, folder)
        except OSError as error:
            raise DataError(
                f"The cache {cache_folder()} cannot be filled: {error}.",
                expected="a folder on a local disk with room for the decoded set",
                remedy="point POINTLAB_CACHE elsewhere, or free some space",
            ) from error
        os.utime(folder.parent)
        _make_room(cache_folder(), bound, keep=dataset)
    os.utime(folder.parent)

    def open_other(name: str) -> CachedSplit | None:
        return open_split(storage, dataset, name) if _exists(storage, dataset, name) else None

    return CachedSplit(folder, open_other)


def _exists(storage: Storage, dataset: str, split: str) -> bool:
    """Whether the set has such a split; the store is asked only where the cache does not know."""
    if _is_filled(cache_folder() / dataset / split):
        return True
    manifest = read_manifest(storage, f"datasets/{dataset}")
    return manifest is not None and split in _splits(manifest)


def _is_filled(folder: Path) -> bool:
    try:
        return (folder / "layout").read_text() == LAYOUT
    except (FileNotFoundError, NotADirectoryError):  # the latter is told when it cannot be filled either
        return False


def _bound() -> int:
    text = os.environ.get("POINTLAB_CACHE_BYTES") or str(DEFAULT_BOUND)
    if not text.isdecimal():
        raise DataError(f"POINTLAB_CACHE_BYTES is {text!r}.", expected="a number of bytes")
    return int(text)


def _fill(storage: Storage, dataset: str, split: str, folder: Path) -> None:
    path = f"datasets/{dataset}"
    manifest = read_manifest(storage, path)
    if manifest is None:
        raise DataError(
            f"There is no prepared set {dataset} in {storage.address}.",
            remedy="prepare it first: pointlab run <its prepare config>",
        )
    names = [name for name in sorted(manifest.files) if name.startswith(f"{split}-")]
    if not names:
        raise DataError(f"The set {dataset} has no {split} split.", expected=", ".join(_splits(manifest)))
    folder.parent.mkdir(parents=True, exist_ok=True)
    aside = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f".{split}-"))
    try:
        contents = (read_verified(storage, path, name, manifest) for name in names)
        _fill_aside(aside / "filled", contents)
        if folder.exists() and not _is_filled(folder):
            with contextlib.suppress(FileNotFoundError):  # another process was quicker
                folder.rename(aside / "outdated")
        (aside / "filled").rename(folder)
    except OSError:
        if not _is_filled(folder):  # otherwise another process was quicker, and its fill is as good
            raise
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def _fill_aside(folder: Path, contents: Iterable[bytes]) -> None:
    folder.mkdir()
    write_split(folder, ((decode_shard(content), decode_attached(content)) for content in contents))
    (folder / "layout").write_text(LAYOUT)


def _splits(manifest: Manifest) -> list[str]:
    return sorted({name.split("-")[0] for name in manifest.files if name.endswith(".parquet")})


def _make_room(cache: Path, bound: int, keep: str) -> None:
    """Delete the sets used longest ago until the cache is within its bound; other folders stay."""
    sets = [path for path in cache.iterdir() if any((path / split / "ids.npy").exists() for split in SPLITS)]
    by_age = sorted(sets, key=lambda path: path.stat().st_mtime_ns)
    sizes = {path: _size(path) for path in by_age}
    excess = sum(sizes.values()) - bound
    for path in by_age:
        if excess <= 0:
            return
        is_being_filled = any(entry.name.startswith(".") for entry in path.iterdir())
        if path.name != keep and not is_being_filled:
            shutil.rmtree(path, ignore_errors=True)
            excess -= sizes[path]


def _size(folder: Path) -> int:
    """Bytes of the files below `folder`; one that another process takes away meanwhile counts nothing."""
    total = 0
    for parent, _, names in os.walk(folder):
        for name in names:
            with contextlib.suppress(FileNotFoundError):
                total += (Path(parent) / name).stat().st_size
    return total
