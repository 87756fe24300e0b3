"""Which prepared set or card is meant: by its whole name, by the user's name for it, or by its config."""

import difflib
from pathlib import Path

from pointlab.cli.options import existing, with_options
from pointlab.data.catalogue import CATALOGUE, Card
from pointlab.data.dataset import DatasetConfig, find_prepared
from pointlab.errors import DataError
from pointlab.experiment import Experiment, PrepareExperiment, StorageConfig, load
from pointlab.storage import Storage, whole_artifacts


def storage_of(root: str | None) -> Storage:
    """The storage at `root`, or the usual one, whether anything is there or not."""
    return Storage(root or StorageConfig().root)


def find_card(name: str) -> Card:
    """The card of this name, dashes or not; DataError with the nearest ones where there is none."""
    name = {known.replace("-", ""): known for known in CATALOGUE}.get(name.replace("-", ""), name)
    if name not in CATALOGUE:
        raise DataError(
            f"There is no card {name!r}.",
            expected=f"one of {', '.join(_nearest(name, list(CATALOGUE)))}",
            remedy="list them with `pointlab data list`",
        )
    return CATALOGUE[name]


def find_set(meant: str, overrides: list[str] | None, root: str | None) -> tuple[Storage, str]:
    """The storage and the whole name of the prepared set that is meant.

    A config is a dataset's own file, or that of any experiment, whose main set is meant. Raises DataError
    where no such set is prepared, or several are.
    """
    if Path(meant).suffix in {".yaml", ".yml"}:
        return _by_config(Path(meant), overrides, root)
    storage = existing(root)
    if meant in storage.folders("datasets"):  # whole or not: what is said of it tells
        return storage, meant
    names = whole_artifacts(storage, "datasets")
    found = [name for name in names if name.rpartition("-")[0] == meant]
    if len(found) == 1:
        return storage, found[0]
    if found:
        raise DataError(
            f"{len(found)} prepared sets are named {meant!r}: {', '.join(found)}.",
            remedy="give the whole name of one",
        )
    raise DataError(
        f"There is no prepared set {meant!r} in {storage.address}.",
        expected=f"one of {', '.join(_nearest(meant, names))}" if names else "a store with prepared sets",
        remedy="list them with `pointlab data list`; make one with `pointlab run` and its prepare config",
    )


def _by_config(path: Path, overrides: list[str] | None, root: str | None) -> tuple[Storage, str]:
    experiment = load(path, with_options(overrides, root))
    storage = existing(experiment.storage.root)
    name = find_prepared(_main_set(experiment), storage)
    if name is None:
        raise DataError(
            f"The set of {path} is not prepared in {storage.address}.",
            remedy="prepare it with `pointlab run`; if it is, give its source folder with --set"
            " data.root=..., or its name",
        )
    return storage, name


def _main_set(experiment: Experiment) -> DatasetConfig:
    if isinstance(experiment, PrepareExperiment):
        return experiment.data
    return experiment.datasets["data"]


def _nearest(name: str, known: list[str]) -> list[str]:
    return difflib.get_close_matches(name, known, n=5, cutoff=0.3) or known[:8]
