"""The decoded cache: a split's arrays as memory-mapped files on the machine that trains.

Filled once from verified shards and kept under the dataset's hash, it makes reading a random cloud a
matter of a memory copy. A fill is written aside and renamed, so a reader meets a whole one or none; the
oldest sets leave when the bound is passed.
"""

import contextlib
import os
import shutil
import tempfile
from pathlib import Path

import numpy as np

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
    """One split of a prepared set: `ids`, `labels` and per-point arrays, mapped from disk."""

    def __init__(self, folder: Path) -> None:
        """Map the arrays of a filled cache folder."""
        arrays = {path.stem: np.load(path, mmap_mode="r") for path in sorted(folder.glob("*.npy"))}
        self.folder = folder
        self.ids, self.labels, self.offsets = (arrays.pop(name) for name in ("ids", "labels", "offsets"))
        self.per_point = arrays

    def __len__(self) -> int:
        return len(self.ids)

    def arrays(self, row: int, names: tuple[str, ...]) -> dict[str, np.ndarray]:
        """Per-point arrays of one cloud, in stored (farthest-point) order."""
        missing = [name for name in names if name not in self.per_point]
        if missing:
            raise DataError(
                f"{self.folder.parent.name} has {', '.join(self.per_point)}, but no {missing[0]}.",
                remedy="choose a set that has them, or a paradigm that does without",
            )
        first, last = self.offsets[row], self.offsets[row + 1]
        return {name: self.per_point[name][first:last] for name in names}


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
        shards = [decode_shard(read_verified(storage, path, name, manifest)) for name in names]
        for name, array in _join(shards).items():
            np.save(unfinished / f"{name}.npy", array)
        unfinished.rename(folder)
    except OSError:
        if not folder.exists():  # otherwise another process was quicker, and its fill is as good
            raise
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


def _splits(manifest: Manifest) -> list[str]:
    return sorted({name.split("-")[0] for name in manifest.files if name.endswith(".parquet")})


def _join(shards: list[Columns]) -> dict[str, np.ndarray]:
    shards = [shard for shard in shards if len(shard.ids)]
    lengths = np.concatenate([np.diff(shard.offsets) for shard in shards])
    joined = {
        "ids": np.concatenate([shard.ids for shard in shards]),
        "labels": np.concatenate([shard.labels for shard in shards]),
        "offsets": np.concatenate([[0], np.cumsum(lengths)]),
    }
    for name in shards[0].per_point:
        joined[name] = np.concatenate([shard.per_point[name] for shard in shards])
    return joined


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
