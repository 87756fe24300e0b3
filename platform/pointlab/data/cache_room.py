"""Room in the cache: the decoded sets used longest ago leave when a bound is passed."""

import contextlib
import os
import shutil
from pathlib import Path

from pointlab.data.source import SPLITS
from pointlab.errors import DataError

DEFAULT_BOUND = 64 << 30


def bytes_allowed() -> int:
    """`POINTLAB_CACHE_BYTES`, or 64 GB; DataError where that is no number."""
    text = os.environ.get("POINTLAB_CACHE_BYTES") or str(DEFAULT_BOUND)
    if not text.isdecimal():
        raise DataError(
            f"POINTLAB_CACHE_BYTES is {text!r}.",
            expected="a whole number of bytes",
            remedy=f"set it to digits alone, such as {DEFAULT_BOUND}, or unset it",
        )
    return int(text)


def make_room(cache: Path, bound: int, keep: str) -> None:
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
