"""Datasets: that they are there and whole, or can be made."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import PurePosixPath

from pointlab.data.dataset import DatasetConfig, find_prepared
from pointlab.data.manifest import read_dataset
from pointlab.data.verification import Damage, verify
from pointlab.doctor.examination import OfExperiment
from pointlab.doctor.finding import Finding, failed, of_error, passed, skipped, warned
from pointlab.doctor.needs import fitting, sets_of
from pointlab.doctor.store import PATIENCE, is_usable
from pointlab.errors import DamagedError, DataError, StorageError
from pointlab.storage import Storage, read_manifest

SHOWN = 3
"""Damages that a finding names; one is often enough to see what happened."""

AWAY = "The store could not be used, as the check of storage tells."


@dataclass(frozen=True)
class Datasets(OfExperiment):
    """Every set that an experiment or its parents use; `deep` hashes its source and reads all of its rows."""

    deep: bool = False
    name: str = "datasets"

    @property
    def seconds(self) -> float:
        """Listing takes seconds; hashing and reading what may be many gigabytes, perhaps an hour."""
        return 3600.0 if self.deep else 120.0

    def run(self) -> Iterator[Finding]:
        """A finding for each set."""
        storage, is_away = Storage(self.address, PATIENCE), False
        for config in sets_of(self.experiment):
            check = f"dataset {config.name}"
            try:
                yield skipped(AWAY, check) if is_away else self._look_at(config, storage, check)
            except (DamagedError, DataError) as error:
                yield of_error(error, check)
            except StorageError as error:
                is_away = not is_usable(self.address)
                yield skipped(AWAY, check) if is_away else of_error(error, check)

    def _look_at(self, config: DatasetConfig, storage: Storage, check: str) -> Finding:
        names = [find_prepared(config, storage)] if self.deep else fitting(config, storage)
        found = [name for name in names if name is not None]
        if not found:
            return _unprepared(config, storage, check)
        if len(found) > 1:
            return warned(
                f"{len(found)} prepared sets may be meant: {', '.join(found)}.",
                "--deep hashes the source files, which tells which one it is",
                check,
            )
        (name,) = found
        damages = verify(storage, name).damages if self.deep else damages_by_size(storage, name)
        if damages:
            some = "; ".join(map(str, damages[:SHOWN]))
            more = f"; and {len(damages) - SHOWN} more" if len(damages) > SHOWN else ""
            return failed(
                f"{storage.locate(f'datasets/{name}')} is damaged: {some}{more}.",
                f"delete {storage.locate(f'datasets/{name}')} and prepare it again",
                check,
            )
        how = "every byte and row verified" if self.deep else "all files there, of the manifest's sizes"
        return passed(f"{name}: {how}", check)


def damages_by_size(storage: Storage, dataset: str) -> list[Damage]:
    """What can be seen to be wrong with a prepared set without reading its shards."""
    path = f"datasets/{dataset}"
    manifest, _ = read_manifest(storage, path), read_dataset(storage, dataset)
    assert manifest is not None, "it was found by its manifest"
    folders = {str(PurePosixPath(name).parent) for name in manifest.files}
    sizes = {
        str(PurePosixPath(folder) / name): size
        for folder in folders
        for name, size in storage.sizes(path if folder == "." else f"{path}/{folder}").items()
    }
    missing = [Damage(name, "is missing") for name in manifest.files if name not in sizes]
    return missing + [
        Damage(name, f"has {sizes[name]:,} bytes, not {entry.size:,}")
        for name, entry in manifest.files.items()
        if sizes.get(name, entry.size) != entry.size
    ]


def _unprepared(config: DatasetConfig, storage: Storage, check: str) -> Finding:
    if config.source.needs_root and config.root is None:
        return failed(
            f"{storage.address} has no prepared set {config.name}, and its root is not given.",
            "give the folder of its files as the root beside the source, or prepare it where the files are",
            check,
        )
    return passed(f"not in {storage.address} yet; it would be prepared first", check)
