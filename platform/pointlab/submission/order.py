"""What is asked of the cluster for one config: its command, checked with the files that will be there."""

import contextlib
import json
import shlex
import shutil
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from pointlab.engine.jobs.job import Order
from pointlab.errors import ConfigError
from pointlab.experiment import Experiment, PrepareExperiment, load
from pointlab.seeding import stable_hash
from pointlab.submission.variables import ships_package, variables_for


@dataclass(frozen=True)
class Options:
    """How a config is to be run: `--set`, `--rerun`, and the variables to send along by name."""

    overrides: Sequence[str] = ()
    rerun: bool = False
    variables: Sequence[str] = ()


def order_for(config: Path, folder: Path, options: Options, shipped: Iterable[str]) -> Order:
    """The job that carries `config` out in a copy of `folder`, of which the files `shipped` are sent.

    The config is read as the job will read it. ConfigError for every mistake in it, for a file that it needs
    and that would not be there, and for a storage root that no other machine can have.
    """
    path = place_in(folder, config)
    experiment = _as_the_job_reads_it(path, folder, options.overrides, shipped)
    require_shared(experiment.storage.root)
    is_driver_enough = experiment.launch.kind == "local"
    return Order(
        name=job_name(experiment, rerun=options.rerun),
        command=_command(experiment.kind, path, options, has_source=ships_package(folder)),
        folder=folder.absolute(),
        variables=variables_for(folder, options.variables),
        cpus=experiment.launch.cpus_per_worker if is_driver_enough else 0,
        gpus=experiment.launch.gpus_per_worker if is_driver_enough else 0,
    )


def place_in(folder: Path, config: Path) -> Path:
    """The path of `config` inside the folder that is shipped; ConfigError where it lies outside."""
    if not config.resolve().is_relative_to(folder.resolve()):
        raise ConfigError(
            f"{config} is not inside {folder.resolve()}, which is what the job gets.",
            remedy="copy it there, or name a folder that holds it with --working-dir",
        )
    return config.resolve().relative_to(folder.resolve())


def job_name(experiment: Experiment, *, rerun: bool = False) -> str:
    """`<name>-s<seed>-<hash>`: equal for equal work, wherever it is launched from and with what workers.

    The name of the run itself depends on the content of its sets, which only the storage tells.
    """
    settings = experiment.model_dump(mode="json", exclude={"launch", "storage"})
    text = json.dumps(settings, sort_keys=True)
    digest = stable_hash(text, experiment.storage.root, *(["rerun"] if rerun else []), digits=8)
    if isinstance(experiment, PrepareExperiment):
        return f"{experiment.data.name}-{digest}"
    return f"{experiment.name}-s{experiment.seed}-{digest}"


def require_shared(root: str) -> None:
    """ConfigError for a root that means another folder, or none, on each machine."""
    if not root.startswith("s3://") and not Path(root).is_absolute():
        raise ConfigError(
            f"storage.root is {root!r}, which on the cluster would lie in the job's own unpacked folder.",
            expected="s3://bucket/prefix, or the absolute path of a folder that all nodes share",
            remedy="give one with --root",
        )


def _as_the_job_reads_it(
    path: Path, folder: Path, overrides: Sequence[str], shipped: Iterable[str]
) -> Experiment:
    """The experiment, read from a copy of the shipped YAML files."""
    with tempfile.TemporaryDirectory() as copy:
        for name in shipped:
            if name.endswith((".yaml", ".yml")):
                place = Path(copy, name)
                place.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(folder / name, place)
        try:
            with contextlib.chdir(copy):
                return load(path, overrides)
        except ConfigError as error:
            reason = error.found
    with contextlib.chdir(folder):
        load(path, overrides)  # a mistake in the config is told as always
    raise ConfigError(
        f"In what the job gets of {folder}: {reason}",
        expected="a config that extends files inside the folder, none of which .gitignore, .rayignore or"
        " pointlab leaves out",
        remedy="move what is missing: configs lie best in configs/",
    )


def _command(kind: str, path: Path, options: Options, *, has_source: bool) -> str:
    """What anyone could have typed in a shell on the head."""
    program = ["python", f"jobs/{kind}.py"] if has_source else ["python", "-m", "pointlab.cli", "run"]
    settings = [part for override in options.overrides for part in ("--set", override)]
    return shlex.join([*program, path.as_posix(), *settings, *(["--rerun"] if options.rerun else [])])
