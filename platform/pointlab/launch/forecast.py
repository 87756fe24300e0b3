"""What carrying an experiment out would take: the sets, teachers and runs that it needs, and which are there.

Nothing is made or changed. The identity of a run rests on prepared sets, so that one whose set is not there
cannot be there either.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from pointlab.data.dataset import DatasetConfig, find_prepared
from pointlab.errors import PointlabError
from pointlab.experiment import PrepareExperiment, StudyExperiment
from pointlab.experiment.resolve import make_definite
from pointlab.launch.lineage import roles_by_run
from pointlab.launch.teachers import folders_in, require_folder
from pointlab.storage import Storage, read_manifest
from pointlab.teachers.folders import is_to_fetch

ITSELF = "itself"
OWN = ("data", "shifted")
"""Roles of sets that an experiment describes itself, by the names of their fields."""


@dataclass(frozen=True)
class Needed:
    """A set, a folder of a teacher or a run by its name, the fields that name it, and whether it is there.

    `is_to_be_had` is False where it is neither there nor can be made of what is there.
    """

    name: str
    roles: tuple[str, ...]
    state: str
    is_to_be_had: bool = True


def forecast(experiment: Any, storage: Storage) -> list[Needed]:
    """The sets, the folders of teachers, the runs that it starts from, parents before their children, and
    itself last. Of a study the sets and folders alone: it has a plan of its runs."""
    if isinstance(experiment, PrepareExperiment):
        return list(_sets({"data": experiment.data}, storage))
    sets, teachers = list(_sets(experiment.datasets, storage)), list(_teachers(experiment))
    if isinstance(experiment, StudyExperiment):
        return [*sets, *teachers]
    prepared = {role: each.name for each in sets if each.state == "prepared" for role in each.roles}
    names = {role: prepared.get(role, config.recipe()) for role, config in experiment.datasets.items()}
    runs = roles_by_run(experiment, names) | {make_definite(experiment, names, {}).run: [ITSELF]}
    is_known = prepared.keys() == names.keys()
    return [
        *sets,
        *teachers,
        *(_run(run, tuple(roles), storage, is_known=is_known) for run, roles in runs.items()),
    ]


def _sets(datasets: dict[str, DatasetConfig], storage: Storage) -> Iterator[Needed]:
    roles: dict[str, list[str]] = {}
    for role, config in datasets.items():
        roles.setdefault(config.recipe(), []).append(role)
    for named in roles.values():
        config = datasets[named[0]]
        try:
            found = find_prepared(config, storage)
        except PointlabError as error:
            yield Needed(config.name, tuple(named), f"not to be had: {error.found}", is_to_be_had=False)
            continue
        is_lost = config.source.needs_root and config.root is None
        absent = f"missing, and no root is given: {_remedy(named)}" if is_lost else "to prepare"
        state = "prepared" if found else absent
        yield Needed(found or config.name, tuple(named), state, is_to_be_had=bool(found) or not is_lost)


def _remedy(roles: Sequence[str]) -> str:
    """What to set for a set whose files nobody has named; by its path where the experiment itself has it."""
    own = [f"{role}.root" for role in roles if role in OWN]
    return f"set {own[0] if own else 'the root of that set'} to the folder that holds its files"


def _teachers(experiment: Any) -> Iterator[Needed]:
    """Folders of `transformers`; of a name on its hub, which is not asked, whether the cache has it."""
    for asked in folders_in(experiment):
        path, roles = asked.source.path, (asked.role,)
        if is_to_fetch(path):
            yield Needed(path, roles, "to fetch from the hub, where a model has this name")
            continue
        try:
            require_folder(asked)
        except PointlabError as error:
            yield Needed(path, roles, f"not to be had: {error.found}", is_to_be_had=False)
        else:
            yield Needed(path, roles, "found")


def _run(run: str, roles: tuple[str, ...], storage: Storage, *, is_known: bool) -> Needed:
    """A run that is not there goes by its name alone, unless all sets tell its hash."""
    if read_manifest(storage, f"runs/{run}/record") is not None:
        return Needed(run, roles, "finished")
    has_begun = storage.exists(f"runs/{run}/config.yaml")
    return Needed(run if is_known else run.rsplit("-", 2)[0], roles, "begun" if has_begun else "to do")
