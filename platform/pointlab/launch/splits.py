"""Whether prepared sets have the splits that experiments will choose or ask by, told before training."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from pointlab.data.dataset import DatasetConfig
from pointlab.data.manifest import read_dataset
from pointlab.errors import DataError
from pointlab.experiment import MatchExperiment, RetrieveExperiment, TransferExperiment
from pointlab.experiment.class_map import classes_between
from pointlab.experiment.modalities import require_prepared
from pointlab.experiment.prepared_data import open_data
from pointlab.launch.lineage import everything_in
from pointlab.storage import Storage

OTHER_FRAMES = "choose another split, or a set whose pictures are by known cameras"


def require_splits(experiment: Any, datasets: Mapping[str, str], storage: Storage) -> None:
    """Return if the prepared sets, by role, have the splits that it and all within it read.

    Raises ConfigError where a transfer is to choose on validation clouds that are not there, DataError where
    classes of its sets are neither equal nor mapped, or none of the clouds that it will ask about is of a
    shared one, a retrieval or a matching is to look among none, or a matching among frames without cameras.
    """
    names = {config.recipe(): datasets[role] for role, config in experiment.datasets.items()}
    for one in everything_in(experiment):
        if isinstance(one, TransferExperiment):
            for role, otherwise in one.chooses_on.items():
                data = open_data(storage, names[one.datasets[role].recipe()], one.num_points)
                data.require_validation(
                    f"The protocol {one.protocol}", f"{role}.validation_fraction", otherwise
                )
            if one.shifted is not None:
                _require_shared(one, one.shifted, names, storage)
        elif isinstance(one, RetrieveExperiment):
            _require_clouds(one.split, names[one.data.recipe()], storage, "to look for shapes in")
        elif isinstance(one, MatchExperiment):
            prepared = names[one.shown.recipe()]
            _require_clouds(one.split, prepared, storage, "whose frames could be matched")
            require_prepared({"pixel": OTHER_FRAMES}, one.shown, prepared, storage, (one.split,))


def _require_shared(
    one: TransferExperiment, shifted: DatasetConfig, names: Mapping[str, str], storage: Storage
) -> None:
    """Return if the sets share classes, and the shifted one has clouds of them wherever it is read."""
    target = read_dataset(storage, names[one.data.recipe()])
    data = open_data(storage, names[shifted.recipe()], one.num_points)
    asked = replace(data, shared=classes_between(one, data.manifest, target))
    is_read = {"validation": one.averages, "test": one.test}
    for split in (split for split, reads in is_read.items() if reads and data.manifest.rows.get(split)):
        asked.require_asked(split)


def _require_clouds(split: str, prepared: str, storage: Storage, purpose: str) -> None:
    if not read_dataset(storage, prepared).rows.get(split):
        raise DataError(
            f"{prepared} has no {split} split {purpose}.",
            expected="a split with clouds",
            remedy="set split to another one, or prepare the set with clouds of it",
        )
