"""A finished network's features of pictures and texts, computed once on each machine and kept there.

By what decides it: `identity_of` the network's folder, the pictures or texts, the kind of device, and the
versions of the libraries, so that equal runs learn from equal bits. Rows are computed in parts, each kept as
soon as it is there: whoever is interrupted goes on from the last. Files are written aside and renamed, so a
reader meets a whole one or none; of several workers on a machine the first computes them.
"""

import contextlib
import functools
import logging
import os
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from importlib.metadata import version
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, Int64, UInt8
from torch import Tensor

from pointlab.data.cache import cache_folder
from pointlab.data.growing import GrowingArray
from pointlab.data.locking import locked
from pointlab.errors import ConfigError, DataError
from pointlab.seeding import stable_hash
from pointlab.teachers.features import TOGETHER, encoded_texts, image_feature_batches
from pointlab.teachers.identity import identity_of
from pointlab.teachers.image_maps import ImageMaps
from pointlab.teachers.image_teacher import ImageTeacher
from pointlab.teachers.text_teacher import TextTeacher

logger = logging.getLogger(__name__)
VERSION = 2
"""Raised when the code computes something else of the same picture or text."""
LIBRARIES = ("transformers", "tokenizers", "torch", "pillow")
"""Another version of them may round, resize or read otherwise."""
NUM_TABLES = 32
"""Tables in the cache: those of a study; that of 40,000 pictures by a ViT-B has 120 megabytes."""
PART = 16 * TOGETHER
"""Rows that are lost at most when a worker ends: minutes of a ViT-B on slow cores. Whole batches, so that
what is computed together does not depend on where somebody was interrupted."""
MOST_BYTES = 8 << 30
"""Of a table of maps: 3,500 pictures of 480 by 640 pixels, seen by a ResNet-50."""
USUAL_PIXELS = 224 * 224
"""Of a picture of which `TOGETHER` are seen at a time; of larger ones it is fewer."""
NUM_TRIES = 3
"""How often a table is looked for that other processes forget meanwhile."""
Decoded = Callable[[Int64[np.ndarray, " _"]], UInt8[np.ndarray, "_ height width 3"]]
Compute = Callable[[int, int], Float[Tensor, "_ *width"]]
"""From the first row of a part and that after its last to the features of these rows."""
Watch = Callable[[int, int], None]
"""Hears how many rows there are, of how many, before each part is computed; what it raises ends that."""


def unwatched(done: int, total: int) -> None:
    """Nobody wants to know."""


def cached_image_features(
    folder: Path,
    numbers: Int64[np.ndarray, " pictures"],
    decoded: Decoded,
    key: str,
    device: torch.device,
    *,
    watch: Watch = unwatched,
) -> Float[Tensor, "pictures width"]:
    """An `ImageTeacher`'s features of the pictures of these numbers, mapped from disk.

    `key` stands for all of them together. They are `decoded`, and the network read, only where features
    are not in the cache.
    """
    teacher = functools.cache(lambda: ImageTeacher(folder).to(device))

    def compute(first: int, last: int) -> Float[Tensor, "_ width"]:
        borders = [*range(first, last, TOGETHER), last]
        batches = (decoded(numbers[start:end]) for start, end in pairwise(borders))
        return torch.cat(list(image_feature_batches(teacher(), batches)))

    deciding = (key, identity_of(folder), *_made_with(device))
    return cached_rows(compute, len(numbers), "pictures", *deciding, watch=watch)


def cached_image_maps(
    folder: Path,
    numbers: Int64[np.ndarray, " pictures"],
    decoded: Decoded,
    key: str,
    device: torch.device,
    *,
    watch: Watch = unwatched,
) -> Float[Tensor, "pictures channels rows columns"]:
    """What `ImageMaps` says of the pictures of these numbers, which have one size, mapped from disk.

    `key` stands for all of them together. The first is decoded, for the size; the others, and the network
    read, only where maps are not in the cache. Raises ConfigError for more than `MOST_BYTES`, which are told
    before anything is kept.
    """
    first = decoded(numbers[:1])
    together = max(1, TOGETHER * USUAL_PIXELS // (first.shape[1] * first.shape[2]))

    @functools.cache
    def bounded() -> ImageMaps:
        network = ImageMaps(folder).to(device)
        _require_bounded(len(numbers), network(torch.from_numpy(first)).shape[1:])
        return network

    def compute(start: int, end: int) -> Float[Tensor, "_ channels rows columns"]:
        borders = [*range(start, end, together), end]
        batches = (torch.from_numpy(decoded(numbers[a:b])) for a, b in pairwise(borders))
        return torch.cat([bounded()(batch).cpu() for batch in batches])

    deciding = ("maps of cells", key, str(first.shape), identity_of(folder), *_made_with(device))
    part = together * PART // TOGETHER
    return cached_rows(compute, len(numbers), "pictures", *deciding, watch=watch, part=part)


def _require_bounded(num_maps: int, shape: torch.Size) -> None:
    num_bytes = 4 * num_maps * shape.numel()
    if num_bytes > MOST_BYTES:
        raise ConfigError(
            f"The maps of {num_maps:,} pictures, {' x '.join(map(str, shape))} numbers each, would take"
            f" {num_bytes:,} bytes of this machine's cache.",
            expected=f"at most {MOST_BYTES:,}",
            remedy="set paradigm.picture_augmentation, so that the teacher is asked in every step"
            " ({area: [1, 1], flip: false} leaves the pictures as they are), or a smaller"
            " paradigm.picture_size, which makes smaller maps",
        )


def cached_text_features(
    folder: Path, texts: Sequence[str], device: torch.device, *, watch: Watch = unwatched
) -> Float[Tensor, "texts width"]:
    """A `TextTeacher`'s features of these texts, mapped from disk; DataError for no texts."""
    teacher = functools.cache(lambda: TextTeacher(folder).to(device))

    def compute(first: int, last: int) -> Float[Tensor, "_ width"]:
        return encoded_texts(teacher(), texts[first:last])

    deciding = (stable_hash(*texts), identity_of(folder), *_made_with(device))
    return cached_rows(compute, len(texts), "texts", *deciding, watch=watch)


def _made_with(device: torch.device) -> list[str]:
    return [device.type, *(f"{name} {version(name)}" for name in LIBRARIES)]


def cached_rows(
    compute: Compute, num_rows: int, *key: str, watch: Watch = unwatched, part: int | None = None
) -> Float[Tensor, "rows *width"]:
    """So many rows, one or more, from the file of this key; those that it lacks are computed.

    `part` rows are kept at a time, `PART` unless told; it must follow from the key. Raises DataError where
    nothing can be kept, and for no rows.
    """
    if num_rows == 0:
        raise DataError(f"There are no {key[0]} to compute features of.", expected="one or more of them")
    path = cache_folder() / "features" / f"{stable_hash(VERSION, *key)}.npy"
    for _ in range(NUM_TRIES):
        if (rows := _read(path, num_rows)) is not None:
            return torch.from_numpy(rows)
        with _locked(path.with_suffix(".lock")):
            if _read(path, num_rows) is None:  # otherwise another worker was quicker
                logger.info("Computing features of %d %s, once on this machine", num_rows, key[0])
                _write(path, num_rows, compute, watch, part or PART)
    raise _not_cached("tables are deleted as soon as they are there")


def _read(path: Path, num_rows: int) -> Float[np.ndarray, "rows *width"] | None:
    """The rows in a file, None where it lacks them; whoever writes into them changes no file."""
    with _explained():
        try:
            rows: np.ndarray = np.load(path, mmap_mode="c").view(np.ndarray)
            os.utime(path)
        except FileNotFoundError:
            return None
        except (ValueError, EOFError):
            rows = np.empty((0, 0), np.float32)
    if len(rows) != num_rows:
        logger.warning("%s is damaged and made anew", path)
        return None
    return rows


def _write(path: Path, num_rows: int, compute: Compute, watch: Watch, size: int) -> None:
    """Compute the parts of so many rows that are missing, and join all."""
    folder = path.with_suffix(".parts")
    borders = [*range(0, num_rows, size), num_rows]
    parts = [folder / f"{first}.npy" for first in borders[:-1]]
    for part, (first, last) in zip(parts, pairwise(borders), strict=True):
        if _read(part, last - first) is None:
            watch(first, num_rows)
            _store(part, folder, [compute(first, last).float().cpu().numpy()])
    watch(num_rows, num_rows)
    _store(path, folder, (np.load(part) for part in parts))
    shutil.rmtree(folder, ignore_errors=True)
    _forget_oldest(path)


def _store(path: Path, folder: Path, arrays: Iterable[Float[np.ndarray, "_ *width"]]) -> None:
    """Write the rows of all arrays into one file, which has its name when it is on the disk.

    Until then it is in `folder`, which goes when the table is whole, whoever was killed there.
    """
    with _explained():
        folder.mkdir(exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder) as aside:
            unfinished = Path(aside) / path.name
            _lay_out(unfinished, iter(arrays))
            unfinished.rename(path)


def _lay_out(path: Path, arrays: Iterator[Float[np.ndarray, "_ *width"]]) -> None:
    first = next(arrays)
    with GrowingArray(path, first) as rows:
        rows.append(first)
        for array in arrays:
            rows.append(array)
    with path.open("rb") as stream:
        os.fsync(stream.fileno())


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Alone on this machine; DataError where the file of the lock cannot be made."""
    with _explained():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    with locked(path):
        yield


def _forget_oldest(newest: Path) -> None:
    """Delete what was used longest ago, whole or in parts; who has a table mapped keeps it. Locks stay, as
    another process may hold one: they are empty."""
    others = [path for ending in ("npy", "parts") for path in newest.parent.glob(f"*.{ending}")]
    by_use = sorted((path for path in others if path != newest), key=_last_use, reverse=True)
    for path in by_use[NUM_TABLES - 1 :]:
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)


def _last_use(path: Path) -> int:
    try:
        return path.stat().st_mtime_ns
    except FileNotFoundError:  # another process forgot it just now
        return 0


@contextlib.contextmanager
def _explained() -> Iterator[None]:
    """What the disk refuses, as a DataError."""
    try:
        yield
    except OSError as error:
        raise _not_cached(str(error)) from error


def _not_cached(reason: str) -> DataError:
    return DataError(
        f"Features cannot be kept in the cache {cache_folder()}: {reason}.",
        expected="a folder on a local disk with some room",
        remedy="point POINTLAB_CACHE elsewhere, or free some space",
    )
