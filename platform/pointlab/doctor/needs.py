"""What the sets of an experiment need where it runs, found without reading or hashing their files."""

import contextlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pointlab.data.dataset import DatasetConfig, find_prepared
from pointlab.errors import PointlabError
from pointlab.experiment import PrepareExperiment
from pointlab.storage import Storage, read_manifest, whole_artifacts


def sets_of(experiment: Any) -> list[DatasetConfig]:
    """The sets that an experiment and its parents use, each once."""
    datasets = {"data": experiment.data} if isinstance(experiment, PrepareExperiment) else experiment.datasets
    return list({config.recipe(): config for config in datasets.values()}.values())


def fitting(config: DatasetConfig, storage: Storage) -> list[str]:
    """Names of the prepared sets that a config may mean, found without hashing source files: their content
    may tell several of one recipe apart. DataError for a source folder that is not there."""
    if config.root is None:
        name = find_prepared(config, storage)  # there is nothing to hash
        return [name] if name else []
    config.source.index(config.root_path)
    of_this_name = (
        name for name in whole_artifacts(storage, "datasets") if name.rpartition("-")[0] == config.name
    )
    manifests = {name: read_manifest(storage, f"datasets/{name}") for name in of_this_name}
    recipe = config.recipe()
    return [
        name for name, manifest in manifests.items() if manifest and manifest.details.get("recipe") == recipe
    ]


@dataclass(frozen=True)
class Needs:
    """What an experiment needs where it runs: room for the bytes of prepared sets, by their names, and the
    source folders of those that are to be prepared."""

    sets: Mapping[str, int]
    folders: tuple[str, ...]


def needs_of(experiment: Any, storage: Storage) -> Needs:
    """Those of all its sets. Where several may be meant, the largest counts; sets that cannot be read have no
    bytes, and what is wrong with them, the check of datasets tells."""
    sets, folders = {}, []
    for config in sets_of(experiment):
        sizes = {}
        with contextlib.suppress(PointlabError):
            sizes = {name: _bytes_of(name, storage) for name in fitting(config, storage)}
        if sizes:
            largest = max(sizes, key=sizes.__getitem__)
            sets[largest] = sizes[largest]
        elif config.root_path is not None:
            folders.append(str(config.root_path))
    return Needs(sets, tuple(folders))


def _bytes_of(name: str, storage: Storage) -> int:
    manifest = read_manifest(storage, f"datasets/{name}")
    assert manifest is not None, "it was found by its manifest"
    return sum(entry.size for entry in manifest.files.values())
