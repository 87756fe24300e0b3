"""What a fill of the cache writes: a split's arrays end to end, its pictures and its captions.

It holds one shard in memory at a time, and is written aside and renamed: a reader meets a whole one or none.
"""

import contextlib
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np

from pointlab.data.cached_pictures import PICTURES, PictureWriter
from pointlab.data.captions import CAPTIONS, CaptionWriter
from pointlab.data.growing import GrowingArray
from pointlab.data.shards import Attached, Columns, decode_attached, decode_shard
from pointlab.errors import DataError
from pointlab.storage import Manifest, Storage, read_manifest
from pointlab.storage.artifact import read_verified

LAYOUT = "2"
"""What a fill writes. A split that was filled with another layout, by another version, is filled again: it
may lack what was stored (1 had no pictures and captions), and nobody could tell."""


def is_filled(folder: Path) -> bool:
    """Whether a split lies there as this version writes it."""
    try:
        return (folder / "layout").read_text() == LAYOUT
    except (FileNotFoundError, NotADirectoryError):  # the latter is told when it cannot be filled either
        return False


def fill(storage: Storage, dataset: str, split: str, folder: Path) -> None:
    """Decode the split into `folder`, or leave what another process did; DataError where there is none."""
    contents = shards_of(storage, dataset, split)
    folder.parent.mkdir(parents=True, exist_ok=True)
    aside = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f".{split}-"))
    try:
        _fill_aside(aside / "filled", contents)
        if folder.exists() and not is_filled(folder):
            with contextlib.suppress(FileNotFoundError):  # another process was quicker
                folder.rename(aside / "outdated")
        (aside / "filled").rename(folder)
    except OSError:
        if not is_filled(folder):  # otherwise another process was quicker, and its fill is as good
            raise
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def shards_of(storage: Storage, dataset: str, split: str) -> Iterator[bytes]:
    """The shards of a split, verified, one after the other; DataError where there is none."""
    path = f"datasets/{dataset}"
    manifest = read_manifest(storage, path)
    if manifest is None:
        raise DataError(
            f"There is no prepared set {dataset} in {storage.address}.",
            remedy="prepare it first: pointlab run <its prepare config>",
        )
    names = [name for name in sorted(manifest.files) if name.startswith(f"{split}-")]
    if not names:
        raise DataError(f"The set {dataset} has no {split} split.", expected=", ".join(splits_of(manifest)))
    return (read_verified(storage, path, name, manifest) for name in names)


def _fill_aside(folder: Path, contents: Iterable[bytes]) -> None:
    folder.mkdir()
    write_split(folder, ((decode_shard(content), decode_attached(content)) for content in contents))
    (folder / "layout").write_text(LAYOUT)


def splits_of(manifest: Manifest) -> list[str]:
    """The splits of a prepared set."""
    return sorted({name.split("-")[0] for name in manifest.files if name.endswith(".parquet")})


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
