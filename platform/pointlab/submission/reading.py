"""A config as the job will read it: from the files that it gets, and from nothing else."""

import shutil
import tempfile
from collections.abc import Collection, Sequence
from pathlib import Path

from pointlab.errors import ConfigError
from pointlab.experiment import Experiment, ImportExperiment, load
from pointlab.launch.lineage import everything_in


def place_in(folder: Path, config: Path) -> Path:
    """The path of `config` inside the folder that is shipped; ConfigError where it lies outside."""
    if not config.resolve().is_relative_to(folder.resolve()):
        raise ConfigError(
            f"{config} is not inside {folder.resolve()}, which is what the job gets.",
            remedy="copy it there, or name a folder that holds it with --working-dir",
        )
    return config.resolve().relative_to(folder.resolve())


def as_the_job_reads_it(
    path: Path, folder: Path, overrides: Sequence[str], shipped: Collection[str]
) -> Experiment:
    """The experiment at `path` inside `folder`, read from a copy of the shipped YAML files.

    This process's own folder stays what it is: other threads may go by it.
    """
    with tempfile.TemporaryDirectory() as copy:
        for name in shipped:
            if name.endswith((".yaml", ".yml")):
                place = Path(copy, name)
                place.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(folder / name, place)
        try:
            experiment = load(path, overrides, Path(copy))
        except ConfigError as error:
            reason = error.found.replace(f"{copy}/", "")
        else:
            _require_imported(experiment, shipped)
            return experiment
    load(path, overrides, folder)  # a mistake in the config is told as always
    raise ConfigError(
        f"In what the job gets of {folder}: {reason}",
        expected="a config that extends files inside the folder, none of which .gitignore, .rayignore or"
        " pointlab leaves out",
        remedy="move what is missing: configs lie best in configs/",
    )


def _require_imported(experiment: Experiment, shipped: Collection[str]) -> None:
    """ConfigError for a file to be imported that is here, and that the job would look for in vain."""
    files = {each.path for each in everything_in(experiment) if isinstance(each, ImportExperiment)}
    missing = [file for file in sorted(files.difference(shipped)) if not Path(file).is_absolute()]
    if missing:
        raise ConfigError(
            f"What the job gets has no {' and no '.join(missing)}.",
            expected="a file that is shipped, by its path in the working folder, or one that nodes have",
            remedy="name it by a path that leads to it from the nodes",
        )
