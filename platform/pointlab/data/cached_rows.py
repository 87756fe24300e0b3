"""Tables of rows that take long to compute, such as features of clouds: made once on each machine, and kept.

By what decides them, so that equal runs learn from equal bits. Rows are computed in parts, each kept as soon
as it is there: whoever is interrupted goes on from the last. Files are written aside and renamed, so a reader
meets a whole one or none; of several workers on a machine the first computes them.
"""

import contextlib
import logging
import os
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from pointlab.data.cache import cache_folder
from pointlab.data.growing import GrowingArray
from pointlab.data.locking import locked, locked_if_free
from pointlab.errors import DataError
from pointlab.seeding import Key, stable_hash

logger = logging.getLogger(__name__)
NUM_TRIES = 3
"""How often a table is looked for that other processes forget meanwhile."""
Compute = Callable[[int, int], Float[Tensor, "_ *width"]]
"""From the first row of a part and that after its last to the features of these rows."""
Watch = Callable[[int, int], None]
"""Hears how many rows there are, of how many, before each part is computed; what it raises ends that."""


def unwatched(done: int, total: int) -> None:
    """Nobody wants to know."""


@dataclass(frozen=True)
class Shelf:
    """A folder of the cache for tables of one kind, and how many of them are kept: those used last."""

    name: str
    num_tables: int


def cached_rows(
    compute: Compute, num_rows: int, of: str, *key: Key, shelf: Shelf, part: int, watch: Watch = unwatched
) -> Float[Tensor, "rows *width"]:
    """Features of so many things, one or more, from the file of this key; those that it lacks are computed.

    `of` says in a word what they are of. `part` rows are kept at a time; it must follow from the key. Raises
    DataError where nothing can be kept, and for no rows.
    """
    if num_rows == 0:
        raise DataError(f"There are no {of} to compute features of.", expected="one or more of them")
    path = cache_folder() / shelf.name / f"{stable_hash(*key)}.npy"
    for _ in range(NUM_TRIES):
        if (rows := _read(path, num_rows)) is not None:
            return torch.from_numpy(rows)
        with _locked(path.with_suffix(".lock")):
            if _read(path, num_rows) is None:  # otherwise another worker was quicker
                logger.info("Computing features of %d %s, once on this machine", num_rows, of)
                _write(path, num_rows, compute, watch, part)
                _forget_oldest(path, shelf.num_tables)
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


def _forget_oldest(newest: Path, num_tables: int) -> None:
    """Delete what was used longest ago, whole or in parts; who has a table mapped keeps it, and so does
    who is computing one. Locks stay, as another process may hold one: they are empty."""
    others = [path for ending in ("npy", "parts") for path in newest.parent.glob(f"*.{ending}")]
    by_use = sorted((path for path in others if path != newest), key=_last_use, reverse=True)
    for path in by_use[num_tables - 1 :]:
        if path.suffix == ".npy":
            path.unlink(missing_ok=True)
            continue
        with locked_if_free(path.with_suffix(".lock")) as is_left_behind:
            if is_left_behind:
                shutil.rmtree(path, ignore_errors=True)


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
