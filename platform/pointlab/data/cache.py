"""The decoded cache: a split's arrays as memory-mapped files on the machine that trains.

Filled once from verified shards and kept under the dataset's hash, it makes reading a random cloud a
matter of a memory copy. A fill holds one shard in memory at a time; it is written aside and renamed, so a
reader meets a whole one or none; the oldest sets leave when the bound is passed.
"""

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from jaxtyping import Int64

from pointlab.data.shards import Columns, decode_shard
from pointlab.data.source import SPLITS
from pointlab.errors import DataError
from pointlab.storage import Manifest, Storage, read_manifest
from pointlab.storage.artifact import read_verified

DEFAULT_BOUND = 64 << 30


def cache_folder() -> Path:
    """`POINTLAB_CACHE`, or a folder in the user's cache."""
    return Path(os.environ.get("POINTLAB_CACHE") or Path.home() / ".cache" / "pointlab")


class CachedSplit:
    """One split of a prepared set: `ids`, `labels`, `groups` and per-point arrays, mapped from disk."""

    def __init__(self, folder: Path) -> None:
        """Map the arrays of a filled cache folder."""
        mapped = {path.stem: np.load(path, mmap_mode="r") for path in sorted(folder.glob("*.npy"))}
        arrays = {name: array.view(np.ndarray) for name, array in mapped.items()}
        self.folder = folder
        self.ids, self.labels, self.offsets = (arrays.pop(name) for name in ("ids", "labels", "offsets"))
        self.groups = arrays.pop("groups")
        self.per_point = arrays

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

    def _require(self, names: tuple[str, ...]) -> None:
        missing = [name for name in names if name not in self.per_point]
        if missing:
            estimate = "prepare it with data.estimate_normals: 16, " if "normals" in missing else ""
            raise DataError(
                f"{self.folder.parent.name} has {', '.join(self.per_point)}, but no {missing[0]}.",
                remedy=f"{estimate}choose a set that has them, or a paradigm that does without",
            )


def open_split(storage: Storage, dataset: str, split: str) -> CachedSplit:
    """The split, decoded into this machine's cache first if it is not there.

    Raises DataError for a set or split that does not exist, StorageError for a damaged shard.
    """
    folder = cache_folder() / dataset / split
    if not folder.exists():
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
    return CachedSplit(folder)


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
    unfinished = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f".{split}-"))
    try:
        shards = (decode_shard(read_verified(storage, path, name, manifest)) for name in names)
        _write_split(unfinished, shards)
        unfinished.rename(folder)
    except OSError:
        if not folder.exists():  # otherwise another process was quicker, and its fill is as good
            raise
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


def _splits(manifest: Manifest) -> list[str]:
    return sorted({name.split("-")[0] for name in manifest.files if name.endswith(".parquet")})


def _write_split(folder: Path, shards: Iterable[Columns]) -> None:
    """Lay the shards' arrays end to end in one file each, holding a single shard at a time."""
    small: dict[str, list[np.ndarray]] = {"ids": [], "labels": [], "groups": [], "lengths": []}
    with contextlib.ExitStack() as open_files:
        growing: dict[str, GrowingArray] = {}
        for shard in shards:
            if len(shard.ids) == 0:
                continue
            for name, values in shard.per_point.items():
                if name not in growing:
                    growing[name] = open_files.enter_context(GrowingArray(folder / f"{name}.npy", values))
                growing[name].append(values)
            for name in ("ids", "labels", "groups"):
                small[name].append(getattr(shard, name))
            small["lengths"].append(np.diff(shard.offsets))
    lengths = np.concatenate(small.pop("lengths"))
    uneven = [name for name, array in growing.items() if len(array) != lengths.sum()]
    if uneven:
        raise DataError(
            f"Some clouds of this set have no {uneven[0]}, others do.",
            expected="the same arrays in all clouds",
            remedy="prepare the set again",
        )
    np.save(folder / "offsets.npy", np.concatenate([[0], np.cumsum(lengths)]))
    for name, parts in small.items():
        np.save(folder / f"{name}.npy", np.concatenate(parts))


class GrowingArray:
    """An .npy file that grows along its first axis; numpy leaves room in the header for its length."""

    def __init__(self, path: Path, like: np.ndarray) -> None:
        """Begin an empty array of rows like those of `like`."""
        self._stream = path.open("wb")
        self._row_shape, self._dtype, self._length = like.shape[1:], like.dtype, 0
        self._write_header()

    def __enter__(self) -> "GrowingArray":
        return self

    def __exit__(self, *_: object) -> None:
        self._stream.seek(0)
        self._write_header()
        self._stream.close()

    def __len__(self) -> int:
        return self._length

    def append(self, rows: np.ndarray) -> None:
        """Add `rows` at the end."""
        self._stream.write(np.ascontiguousarray(rows).data)
        self._length += len(rows)

    def _write_header(self) -> None:
        description = np.lib.format.dtype_to_descr(self._dtype)
        shape = (self._length, *self._row_shape)
        header = {"descr": description, "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_1_0(self._stream, header)


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
