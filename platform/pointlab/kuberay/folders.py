"""The files that an experiment reads, which pods have from a volume at /data and from nowhere else."""

from collections.abc import Iterator
from pathlib import PurePosixPath

from pointlab.errors import ConfigError
from pointlab.experiment import Experiment, ImportExperiment, PrepareExperiment
from pointlab.kuberay.pods import SOURCES
from pointlab.kuberay.settings import ManifestSettings
from pointlab.launch.lineage import everything_in
from pointlab.launch.teachers import folders_in


def require_mounted(experiment: Experiment, settings: ManifestSettings) -> None:
    """Return if pods have the folders of sources and teachers, and imported files, that are named.

    ConfigError names those that they have not: each attempt of the job would end with them, after minutes in
    which its cluster was made. A teacher's name on the hub of `transformers` is no folder.
    """
    named = sorted(set(_named(experiment)))
    outside = [path for path in named if not PurePosixPath(path).is_relative_to(SOURCES)]
    if outside:
        raise ConfigError(
            f"Pods have no {' and no '.join(outside)}.",
            expected=f"something below {SOURCES}, where the volume of --data-claim is mounted",
            remedy=f"copy them to the volume, and say where: --set data.root={SOURCES}/... for a set,"
            " the `path` of a teacher or an import",
        )
    if named and settings.data_claim is None:
        raise ConfigError(
            f"Nothing is mounted where {' and '.join(named)} should be.",
            remedy="name the PersistentVolumeClaim that holds them with --data-claim",
        )


def _named(experiment: Experiment) -> Iterator[str]:
    for each in everything_in(experiment):
        sets = [each.data] if isinstance(each, PrepareExperiment) else each.datasets.values()
        yield from (data.root for data in sets if data.root is not None)
        if isinstance(each, ImportExperiment):
            yield each.path
    paths = (asked.source.path for asked in folders_in(experiment))
    yield from (path for path in paths if path.startswith(("/", ".", "~")))
