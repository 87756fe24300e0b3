"""What an experiment will bring with it: all that is written out in it, and the runs that are made first."""

import logging
from collections.abc import Iterator, Mapping
from typing import Any

from pointlab.experiment import PretrainExperiment, SearchExperiment, StudyExperiment, TeacherExperiment
from pointlab.experiment.lineage import make_lineage_definite, parents_of, placed_by
from pointlab.experiment.modalities import Modality, needed_by, require_prepared
from pointlab.experiment.resolve import share_of_parent
from pointlab.storage import Storage, read_record

logger = logging.getLogger(__name__)
OTHERWISE = "choose a set that has them for the teacher's data"


def everything_in(experiment: Any) -> Iterator[Any]:
    """`experiment` and all that it consists of or starts from, to any depth; some perhaps more than once."""
    yield experiment
    parts = [cell.experiment for cell in experiment.cells] if isinstance(experiment, StudyExperiment) else []
    parts += [experiment.transfer] if isinstance(experiment, SearchExperiment) else []
    for part in (*parts, *parents_of(experiment).values()):
        yield from everything_in(part)


def require_learnable(experiment: Any, datasets: Mapping[str, str], storage: Storage) -> None:
    """Return if the prepared sets, by role, have what pretrainings and teachers in it are to learn of.

    Asked before the first of them is trained. Raises DataError as `require_prepared` does.
    """
    names = {config.recipe(): datasets[role] for role, config in experiment.datasets.items()}
    learning = (e for e in everything_in(experiment) if isinstance(e, PretrainExperiment | TeacherExperiment))
    asked = {
        (names[each.data.recipe()], modality): (each.data, otherwise)
        for each in learning
        for modality, otherwise in _needed(each).items()
    }
    for (prepared, modality), (data, otherwise) in asked.items():
        require_prepared({modality: otherwise}, data, prepared, storage)


def _needed(experiment: PretrainExperiment | TeacherExperiment) -> Mapping[Modality, str]:
    if isinstance(experiment, PretrainExperiment):
        return needed_by(experiment.paradigm)
    seen: dict[Modality, str] = {"picture": OTHERWISE}
    read: dict[Modality, str] = {"caption": OTHERWISE} if experiment.network.kind == "clip" else {}
    return seen | read


def roles_by_run(experiment: Any, datasets: Mapping[str, str], within: str = "") -> dict[str, list[str]]:
    """The runs that `experiment` starts from, parents before their children, each with the fields that name
    it, such as `pretrained/image_teacher`."""
    found: dict[str, list[str]] = {}
    for role, parent in parents_of(experiment).items():
        own = share_of_parent(role, datasets)
        run = make_lineage_definite(parent, own)[-1].run
        for name, roles in {**roles_by_run(parent, own, f"{within}{role}/"), run: [within + role]}.items():
            found.setdefault(name, []).extend(roles)
    return found


def announce_parents(experiment: Any, datasets: Mapping[str, str], storage: Storage) -> None:
    """Tell the log which of its direct parents are missing, and that two fields share one, or do not.

    And which of them run on Ray although it does not: not everyone knows what a file says that he extends.
    """
    parents = parents_of(experiment)
    direct = parents.keys()
    missing = {
        run: [role for role in roles if role in direct]
        for run, roles in roles_by_run(experiment, datasets).items()
        if not direct.isdisjoint(roles) and read_record(storage, run) is None
    }
    if missing:
        logger.info("%s makes first: %s", experiment.name, listed(missing))
    for run, roles in missing.items():
        elsewhere = [role for role in roles if placed_by(experiment, parents[role]).launch.kind == "ray"]
        if experiment.launch.kind == "local" and elsewhere:
            settings = " ".join(f"--set {role}.launch.kind=local" for role in elsewhere)
            logger.info("%s runs on Ray, as its own launch says; %s keeps it here", run, settings)


def listed(roles: Mapping[str, list[str]]) -> str:
    """Runs with the fields that name them, in words."""
    return ", ".join(f"{run} ({', '.join(fields)})" for run, fields in roles.items())
