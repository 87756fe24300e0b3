"""Shared memory of a node, in which Ray keeps the objects that processes hand each other."""

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pointlab.doctor.finding import Finding, passed, skipped, warned

FOLDER = Path("/dev/shm")


@dataclass(frozen=True)
class SharedMemory:
    """That the node's /dev/shm holds the object store that Ray means to keep in it."""

    wanted: float
    """Bytes of the node's object store."""
    folder: Path = FOLDER
    name: str = "shared memory"
    seconds: float = 10.0

    def run(self) -> Iterator[Finding]:
        """A pass, or a warning: what does not fit goes to a disk, which is slow."""
        if not self.folder.is_dir():
            yield skipped(f"There is no {self.folder} on this system.")
            return
        size = shutil.disk_usage(self.folder).total
        told = f"{self.folder} has {_told(size)}, Ray's object store {_told(self.wanted)}"
        if size < self.wanted:
            yield warned(
                f"{told}: it would be kept on a disk, and NCCL may fail.",
                f"mount a memory volume of {_told(self.wanted)} at {self.folder} (docker run --shm-size), or"
                " give `ray start` a smaller --object-store-memory",
            )
        else:
            yield passed(told)


def _told(size: float) -> str:
    return f"{size / 2**30:.2f} GiB"
