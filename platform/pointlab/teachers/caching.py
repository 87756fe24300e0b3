"""What a finished network says of pictures and texts, computed once on each machine and kept there.

By what decides it: `identity_of` the network's folder, and the pictures or texts. A file is written aside and
renamed, so a reader meets a whole one or none; of several workers on a machine the first computes it. The
device does not count: features of another one are equal to rounding.
"""

import fcntl
import os
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from pointlab.data.cache import cache_folder
from pointlab.data.growing import GrowingArray
from pointlab.errors import DataError
from pointlab.seeding import stable_hash
from pointlab.teachers.features import said_of_pictures, text_features
from pointlab.teachers.identity import identity_of

VERSION = 1
"""Raised when the code says something else of the same picture or text."""
NUM_KEPT = 32
"""Tables in the cache: those of a study; that of 40,000 pictures by a ViT-B has 120 megabytes."""
Pictures = Iterable[UInt8[np.ndarray, "batch height width 3"]]
Parts = Iterable[Float[Tensor, "_ width"]]


def cached_image_features(
    folder: Path, pictures: Pictures, key: str, device: torch.device
) -> Float[Tensor, "pictures width"]:
    """What an `ImageTeacher` says of the pictures that `key` stands for, mapped from disk.

    `pictures` are gone through, and the network read, only where that is not known here yet.
    """

    def parts() -> Parts:
        return said_of_pictures(folder, pictures, device)

    return kept(parts, "pictures", key, identity_of(folder))


def cached_text_features(
    folder: Path, texts: Sequence[str], device: torch.device
) -> Float[Tensor, "texts width"]:
    """What a `TextTeacher` says of these texts, mapped from disk; DataError for no texts."""

    def parts() -> Parts:
        return [text_features(folder, texts, device)]

    return kept(parts, "texts", stable_hash(*texts), identity_of(folder))


def kept(parts: Callable[[], Parts], *key: str) -> Float[Tensor, "rows width"]:
    """The rows that `parts` gives, from the file of this key, which is written first where it is missing.

    Raises DataError where it cannot be written.
    """
    path = cache_folder() / "features" / f"{stable_hash(VERSION, *key)}.npy"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if not path.exists():
            with _locked(path.with_suffix(".lock")):
                if not path.exists():  # otherwise another worker was quicker
                    _write(path, parts())
        os.utime(path)
        values = np.load(path, mmap_mode="c").view(np.ndarray)  # whoever writes into it changes no file
    except OSError as error:
        raise DataError(
            f"Features cannot be kept in the cache {cache_folder()}: {error}.",
            expected="a folder on a local disk with some room",
            remedy="point POINTLAB_CACHE elsewhere, or free some space",
        ) from error
    return torch.from_numpy(values)


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Alone on this machine; the file stays, as whoever waits for it has it open."""
    with path.open("w") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        yield


def _write(path: Path, parts: Parts) -> None:
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=f".{path.stem}-") as aside:
        each = (part.float().cpu().numpy() for part in parts)
        first = next(iter(each))
        with GrowingArray(Path(aside) / "rows.npy", first) as rows:
            rows.append(first)
            for part in each:
                rows.append(part)
        (Path(aside) / "rows.npy").rename(path)
    _forget_oldest(path)


def _forget_oldest(newest: Path) -> None:
    """Delete the tables that were used longest ago; who has one mapped keeps it."""
    others = [path for path in newest.parent.glob("*.npy") if path != newest]
    by_age = sorted(others, key=lambda path: path.stat().st_mtime_ns, reverse=True)
    for path in by_age[NUM_KEPT - 1 :]:
        path.unlink(missing_ok=True)
        path.with_suffix(".lock").unlink(missing_ok=True)
