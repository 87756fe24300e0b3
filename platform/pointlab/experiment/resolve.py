"""The identity of a run: a hash of what defines its result, and of nothing else.

Datasets count by the hash of their content and recipe, parents by their own identity. Fields marked
`identity: False` (threads, checkpoint intervals, source folders), the launcher and the storage do not
count: the same run moves from a laptop to a cluster and finds its checkpoints there. Nor does a setting that
was added when such runs existed (`ADDED_LATER`), where it asks for what they did without it, or one that has
no effect as the others stand (`without_effect`).
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, Protocol, TypeVar, runtime_checkable

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from pointlab.config import StrictModel, counts
from pointlab.data.dataset import DatasetConfig
from pointlab.experiment.placement import LaunchConfig, StorageConfig
from pointlab.seeding import stable_hash
from pointlab.training import TrainingResult

INGREDIENT = "ingredient-"
"""The roles of the fine-tunings of a soup, each with its number: no field writes them out either."""
FINE_TUNED = "fine_tuned"
"""The role of a parent that no field writes out: the fine-tuning of a mixture, on the same sets as that."""


@runtime_checkable
class TrainedExperiment(Protocol):
    """What every experiment that makes a run has."""

    @property
    def kind(self) -> str:
        """Which experiment it is."""

    @property
    def name(self) -> str:
        """The user's name for it."""

    @property
    def seed(self) -> int:
        """Key of everything random in it."""

    @property
    def stamp(self) -> str:
        """What a table may compare its figures with."""

    @property
    def datasets(self) -> dict[str, DatasetConfig]:
        """Every dataset that it or its parents use, by role."""


E = TypeVar("E", bound=TrainedExperiment)
E_co = TypeVar("E_co", bound=TrainedExperiment, covariant=True)


@dataclass(frozen=True)
class Resolved(Generic[E_co]):
    """An experiment with everything it refers to made definite; it travels to the workers as it is.

    `datasets` maps each role (`data`, `shifted`, a parent's `latents/teacher`) to a prepared set, `parents`
    each role (`latents`, `pretrained`) to a finished run.
    """

    experiment: E_co
    run: str
    datasets: dict[str, str]
    parents: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Findings:
    """What a finished experiment hands over for its record."""

    metrics: dict[str, float]
    curves: dict[str, list[dict[str, float | str]]] = field(default_factory=dict)
    notes: dict[str, str] = field(default_factory=dict)
    samples_seen: int = 0
    device_seconds: float = 0.0
    flops: float = 0.0
    """0 where they are not counted."""
    parents: dict[str, str] = field(default_factory=dict)
    """Runs that it starts from, where only the run itself tells which: those of a search's best trial."""

    def add(self, measured: "Findings") -> None:
        """Take over the figures and notes of what was measured afterwards."""
        self.metrics.update(measured.metrics)
        self.notes.update(measured.notes)


def findings_of(result: TrainingResult) -> Findings:
    """What a training run found; a transfer adds to it."""
    return Findings(
        metrics=dict(result.metrics),
        notes={"selected step": f"{result.selected_step} of {result.steps}"},
        samples_seen=result.samples_seen,
        device_seconds=result.device_seconds,
        flops=result.flops,
    )


def with_datasets_of(
    parents: Mapping[str, TrainedExperiment], own: Mapping[str, DatasetConfig]
) -> dict[str, DatasetConfig]:
    """A child's `own` sets, and those of its parents: a parent's `data` is called like it, others
    `<role>/<theirs>`."""
    found = dict(own)
    for role, parent in parents.items():
        for name, data in parent.datasets.items():
            found[role if name == "data" else f"{role}/{name}"] = data
    return found


def is_fine_tuning(role: str) -> bool:
    """Whether that parent is its child under protocol full, on the very sets of the child."""
    return role == FINE_TUNED or role.startswith(INGREDIENT)


def share_of_parent(role: str, datasets: Mapping[str, str]) -> dict[str, str]:
    """The prepared sets of that parent among those of its child, by the parent's own roles."""
    if is_fine_tuning(role):
        return dict(datasets)
    own = {"data": datasets[role]} if role in datasets else {}
    prefix = f"{role}/"
    return own | {
        name.removeprefix(prefix): prepared for name, prepared in datasets.items() if name.startswith(prefix)
    }


def make_definite(experiment: E, datasets: dict[str, str], parents: dict[str, str]) -> Resolved[E]:
    """`experiment` with the prepared sets of its roles, and the run it makes: `<name>-<hash>-s<seed>`."""
    names = {config.recipe(): datasets[role] for role, config in experiment.datasets.items()}
    defined = definition(experiment, lambda config: names[config.recipe()])
    digest = stable_hash(json.dumps(defined, sort_keys=True), digits=10)
    run = f"{experiment.name}-{digest}-s{experiment.seed}"
    return Resolved(experiment, run, datasets, parents)


def definition(value: Any, name_of: Callable[[DatasetConfig], str], *, is_outermost: bool = True) -> Any:
    """`value` as plain data, without what does not define a result."""
    if isinstance(value, DatasetConfig):
        return name_of(value).rpartition("-")[2]
    if isinstance(value, BaseModel):
        named = {"name"} if isinstance(value, TrainedExperiment) else set()
        idle = value.without_effect if isinstance(value, StrictModel) else frozenset()
        skipped = named | idle | ({"seed"} if is_outermost else set())
        return {
            name: definition(getattr(value, name), name_of, is_outermost=False)
            for name, info in type(value).model_fields.items()
            if name not in skipped and _counts(getattr(value, name), info)
        }
    if isinstance(value, dict):
        return {str(key): definition(item, name_of, is_outermost=False) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [definition(item, name_of, is_outermost=False) for item in value]
    return value


def _counts(value: Any, info: FieldInfo) -> bool:
    if isinstance(value, LaunchConfig | StorageConfig):
        return False
    return counts(value, info)
