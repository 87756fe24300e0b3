"""Datasets: that they are there and whole, or can be made."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

from pointlab.data.dataset import DatasetConfig, find_prepared
from pointlab.data.manifest import read_dataset
from pointlab.data.verification import Damage, verify
from pointlab.doctor.finding import Finding, failed, of_error, passed, skipped
from pointlab.doctor.store import PATIENCE
from pointlab.errors import DamagedError, DataError, PointlabError, StorageError
from pointlab.experiment import PrepareExperiment
from pointlab.storage import Storage, read_manifest

SHOWN = 3
"""Damages that a finding names; one is often enough to see what happened."""


@dataclass(frozen=True)
class Datasets:
    """Every set that an experiment or its parents use; `deep` reads all bytes and rows of them."""

    experiment: Any
    address: str
    deep: bool = False
    name: str = "datasets"

    @property
    def seconds(self) -> float:
        """Listing takes seconds, and so does the hashing of source files; reading may take an hour."""
        return 3600.0 if self.deep else 120.0

    def run(self) -> Iterator[Finding]:
        """A finding for each set."""
        storage = Storage(self.address, PATIENCE)
        for config in sets_of(self.experiment):
            check = f"dataset {config.name}"
            try:
                yield self._look_at(config, storage, check)
            except (DamagedError, DataError) as error:
                yield of_error(error, check)
            except StorageError:
                yield skipped("The store could not be read, as the check of storage tells.", check)

    def _look_at(self, config: DatasetConfig, storage: Storage, check: str) -> Finding:
        name = find_prepared(config, storage)
        if name is None:
            return _unprepared(config, storage, check)
        damages = verify(storage, name).damages if self.deep else damages_by_size(storage, name)
        if damages:
            some = "; ".join(map(str, damages[:SHOWN]))
            more = f"; and {len(damages) - SHOWN} more" if len(damages) > SHOWN else ""
            return failed(
                f"{storage.locate(f'datasets/{name}')} is damaged: {some}{more}.",
                f"delete {storage.locate(f'datasets/{name}')} and prepare it again",
                check,
            )
        how = (
            "every byte and row verified" if self.deep else "all files there, with the sizes of the manifest"
        )
        return passed(f"{name}: {how}", check)


def sets_of(experiment: Any) -> list[DatasetConfig]:
    """The sets that an experiment and its parents use, each once."""
    datasets = {"data": experiment.data} if isinstance(experiment, PrepareExperiment) else experiment.datasets
    return list({config.recipe(): config for config in datasets.values()}.values())


def prepared_bytes(experiment: Any, storage: Storage) -> dict[str, int]:
    """Bytes of the prepared sets of an experiment by their names; those that cannot be read are left out."""
    found = {}
    for config in sets_of(experiment):
        try:
            name = find_prepared(config, storage)
            manifest = read_manifest(storage, f"datasets/{name}") if name else None
        except PointlabError:
            continue  # what is wrong with it, the check of datasets tells
        if name and manifest:
            found[name] = sum(entry.size for entry in manifest.files.values())
    return found


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
