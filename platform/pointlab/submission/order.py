"""What is asked of the cluster for one config: its command, checked with the files that will be there."""

import json
import shlex
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pointlab.engine.jobs.job import Order
from pointlab.errors import ConfigError
from pointlab.experiment import Experiment, PrepareExperiment
from pointlab.launch.reruns import require_repeatable
from pointlab.seeding import stable_hash
from pointlab.submission.reading import as_the_job_reads_it, place_in
from pointlab.submission.source import require_whole_source, ships_package
from pointlab.submission.variables import variables_for


@dataclass(frozen=True)
class Options:
    """How a config is to be run: `--set`, `--rerun`, and the variables to send along by name."""

    overrides: Sequence[str] = ()
    rerun: bool = False
    variables: Sequence[str] = ()


def order_for(config: Path, folder: Path, options: Options, shipped: Collection[str]) -> Order:
    """The job that carries `config` out in a copy of `folder`, of which the files `shipped` are sent.

    The config is read as the job will read it. ConfigError for every mistake in it, for a file that it needs
    and that would not be there, for a storage root that no other machine can have, and for `--rerun` of what
    has no second attempt.
    """
    path = place_in(folder, config)
    require_whole_source(folder, shipped)
    experiment = as_the_job_reads_it(path, folder, options.overrides, shipped)
    require_shared(experiment.storage.root)
    if options.rerun:
        require_repeatable(experiment)
    is_driver_enough = experiment.launch.kind == "local"
    return Order(
        name=job_name(experiment, rerun=options.rerun),
        command=_command(experiment.kind, path, options, shipped),
        folder=folder.absolute(),
        variables=variables_for(shipped, options.variables),
        cpus=experiment.launch.cpus_per_worker if is_driver_enough else 0,
        gpus=experiment.launch.gpus_per_worker if is_driver_enough else 0,
    )


def job_name(experiment: Experiment, *, rerun: bool = False) -> str:
    """`<name>-s<seed>-<hash>`: equal for equal work, wherever it is launched from and with what workers.

    The name of the run itself depends on the content of its sets, which only the storage tells.
    """
    settings = _by_hash(experiment.model_dump(mode="json", exclude={"launch", "storage"}))
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


def _by_hash(settings: Any) -> Any:
    """Settings without the paths of files that go by their hash, as teachers do: machines have their own."""
    if isinstance(settings, list):
        return [_by_hash(each) for each in settings]
    if not isinstance(settings, dict):
        return settings
    left_out = "path" if "sha256" in settings else None
    return {name: _by_hash(value) for name, value in settings.items() if name != left_out}


def _command(kind: str, path: Path, options: Options, shipped: Collection[str]) -> str:
    """What anyone could have typed in a shell on the head."""
    script = f"jobs/{kind}.py"
    is_there = ships_package(shipped) and script in shipped
    program = ["python", script] if is_there else ["python", "-m", "pointlab.cli", "run"]
    settings = [part for override in options.overrides for part in ("--set", override)]
    return shlex.join([*program, path.as_posix(), *settings, *(["--rerun"] if options.rerun else [])])
