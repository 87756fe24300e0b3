"""Room on this machine's disks: for the decoded cache, and for a store that is a folder."""

import shutil
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from pointlab.data.cache import cache_folder
from pointlab.data.cache_room import bytes_allowed
from pointlab.doctor.examination import OfExperiment
from pointlab.doctor.finding import Finding, failed, passed, warned
from pointlab.doctor.needs import needs_of
from pointlab.doctor.store import PATIENCE
from pointlab.storage import Storage

LEAST = 2**30
"""Bytes below which a disk counts as full: a checkpoint of a large network with its optimiser."""
DECODED = 1.5
"""Bytes in the cache for one of a shard: compressed float32 shrinks little."""


@dataclass(frozen=True)
class Disk:
    """Room for what an experiment keeps here; `sets` are the bytes of its prepared sets by name."""

    address: str
    sets: Mapping[str, int] = field(default_factory=dict)
    name: str = "disk"
    seconds: float = 30.0

    def run(self) -> Iterator[Finding]:
        """A finding for the cache, and for the store if it is a folder."""
        cache = cache_folder()
        absent = {name: size for name, size in self.sets.items() if not (cache / name).is_dir()}
        yield from _room(cache, DECODED * sum(absent.values()), "cache", "set POINTLAB_CACHE to another disk")
        needed, allowed = DECODED * sum(self.sets.values()), bytes_allowed()
        if needed > allowed:
            yield warned(
                f"The decoded sets take {_told(needed)}, and the cache may hold {_told(allowed)}.",
                "raise POINTLAB_CACHE_BYTES, or sets are decoded again and again",
            )
        storage = Storage(self.address)
        if storage.is_local:
            yield from _room(Path(storage.address), 0, "storage", "give another storage.root")


@dataclass(frozen=True)
class DiskFor(OfExperiment):
    """Room on this machine for what an experiment keeps; its sets are looked up in the store."""

    name: str = "disk"
    seconds: float = 120.0

    def run(self) -> Iterator[Finding]:
        """As of `Disk`."""
        sets = needs_of(self.experiment, Storage(self.address, PATIENCE)).sets if self.experiment else {}
        yield from Disk(self.address, sets).run()


def _room(folder: Path, needed: float, what: str, remedy: str) -> Iterator[Finding]:
    """Whether a folder, or the nearest one above it, can be written and has room."""
    nearest = next(each for each in (folder, *folder.parents) if each.exists())
    try:
        tempfile.TemporaryFile(dir=nearest).close()
    except OSError as error:
        yield failed(f"The {what} folder {folder} cannot be written: {error.strerror}.", remedy)
        return
    free = shutil.disk_usage(nearest).free
    told = f"{what} folder {folder}: {_told(free)} free"
    if free < needed:
        yield failed(f"{told}, and the decoded sets need {_told(needed)}.", f"make room, or {remedy}")
    elif free < needed + LEAST:
        yield warned(f"{told}, little of which would be left.", f"make room, or {remedy}")
    else:
        yield passed(told)


def _told(size: float) -> str:
    return f"{size / 2**30:.1f} GiB"
