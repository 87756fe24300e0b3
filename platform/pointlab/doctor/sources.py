"""Folders of source files, which a set is prepared from: every node that prepares must see them."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pointlab.doctor.finding import Finding, failed, passed


@dataclass(frozen=True)
class Sources:
    """That these folders are there, on this machine."""

    folders: tuple[str, ...]
    name: str = "sources"
    seconds: float = 30.0

    def run(self) -> Iterator[Finding]:
        """A finding for each folder."""
        for folder in self.folders:
            if Path(folder).is_dir():
                yield passed("there", f"source {folder}")
            else:
                yield failed(
                    "There is no such folder.",
                    "mount it on every node, or prepare the set where it is (launch.kind=local) and run then",
                    f"source {folder}",
                )
