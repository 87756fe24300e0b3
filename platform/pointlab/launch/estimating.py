"""What is missing of a study will take, foretold from timed steps: device time and operations.

Steps of each distinct training are taken here, for a second, on this machine; equal trainings of other
seeds, labels or lengths take as long for each cloud. How many clouds there are, `amount.py` says.
"""

import json
from dataclasses import dataclass
from typing import Any

from pointlab.data.dataset import find_prepared
from pointlab.experiment import PretrainExperiment, StudyExperiment, TransferExperiment
from pointlab.experiment.measured import measure
from pointlab.experiment.resolve import Resolved
from pointlab.launch.amount import clouds_of
from pointlab.launch.budgets import spread
from pointlab.storage import Storage
from pointlab.study.planning import Plan, Step, make_plan
from pointlab.training import Watcher
from pointlab.training.step_cost import StepCost

SECONDS = 1.0
"""Of timed steps for each distinct training."""
RULE = (
    "device time by steps timed on this machine; a cloud that is only shown counts a third of one that is"
    " trained on; fits of heads, checkpoints and the preparation of sets are not in it"
)


@dataclass(frozen=True)
class Estimate:
    """The missing experiments of one kind on one backbone, those that could be timed, and what these take."""

    kind: str
    backbone: str
    missing: int
    timed: int
    seconds: float
    flops: float


def estimate(study: StudyExperiment, storage: Storage, watcher: Watcher) -> list[Estimate]:
    """By kind and backbone, in the order of the plan; nothing is made but the machine's cache of sets.

    Where the epochs of a budget rest on a step that nobody has taken yet, no time is known.
    """
    known, names = foretold(study, storage), _names(study, storage)
    named = {role: name or f"{role}-missing" for role, name in names.items()}
    plan = make_plan(known or study, named, storage)
    clock = _Clock(storage, frozenset(filter(None, names.values())) if known else frozenset(), watcher)
    groups: dict[tuple[str, str], list[tuple[float, float] | None]] = {}
    for step in plan.missing:
        key = plan.kind_of(step.run), _backbone_of(step, plan)
        groups.setdefault(key, []).append(clock.cost_of(step, plan))
    return [_together(kind, backbone, found) for (kind, backbone), found in groups.items()]


def foretold(study: StudyExperiment, storage: Storage) -> StudyExperiment | None:
    """The study with the epochs of its budget; None where a set is not prepared that decides them, or a step
    has not been taken: a dry run keeps none."""
    if study.budget is None:
        return study
    names = {role: name for role, name in _names(study, storage).items() if name is not None}
    if names.keys() != study.datasets.keys():
        return None
    try:
        return spread(study, names, storage, _not_taken)
    except _NotTakenError:
        return None


class _NotTakenError(Exception):
    """A step that a budget rests on has not been taken."""


def _not_taken(_: Any) -> StepCost:
    raise _NotTakenError


def _names(study: StudyExperiment, storage: Storage) -> dict[str, str | None]:
    """Of the sets that are prepared, by role."""
    return {role: find_prepared(config, storage) for role, config in study.datasets.items()}


def _together(kind: str, backbone: str, found: list[tuple[float, float] | None]) -> Estimate:
    timed = [each for each in found if each is not None]
    sums = sum(seconds for seconds, _ in timed), sum(flops for _, flops in timed)
    return Estimate(kind, backbone, len(found), len(timed), *sums)


def _backbone_of(step: Step, plan: Plan) -> str:
    """The level of the cells that need it; of what several share, the first one's."""
    if step.run in plan.cells:
        return plan.cells[step.run].levels.backbone
    using = (cell for run, cell in plan.cells.items() if step.run in plan.ancestors(run))
    return next(using).levels.backbone


@dataclass
class _Clock:
    """Times a step of each distinct training once."""

    storage: Storage
    prepared: frozenset[str]
    watcher: Watcher

    def __post_init__(self) -> None:
        self.found: dict[str, StepCost] = {}

    def cost_of(self, step: Step, plan: Plan) -> tuple[float, float] | None:
        """Seconds and operations of the whole experiment; None where no step of it can be taken yet."""
        resolved = step.resolved
        if not self._can_be_timed(resolved, plan):
            return None
        key = _key(resolved)
        if key not in self.found:
            self.found[key] = measure(resolved, self.storage, SECONDS)
            self.watcher("timing a step of each training", len(self.found), self.num_distinct(plan), {})
        cost, size = self.found[key], resolved.experiment.training.batch_size
        clouds = clouds_of(resolved, self.storage)
        return cost.seconds / size * clouds, cost.flops / size * clouds

    def num_distinct(self, plan: Plan) -> int:
        """How many trainings of the plan have steps of their own to be timed."""
        timed = (step.resolved for step in plan.missing if self._can_be_timed(step.resolved, plan))
        return len({_key(each) for each in timed})

    def _can_be_timed(self, resolved: Resolved[Any], plan: Plan) -> bool:
        """Whether its sets are there and, but for a transfer, whose start does not matter, what it learns
        from; what teachers say is not computed for this alone."""
        experiment = resolved.experiment
        own = {resolved.datasets[role] for role in ("data", "shifted") if role in resolved.datasets}
        if not own <= self.prepared or not hasattr(experiment, "training"):
            return False
        if isinstance(experiment, TransferExperiment):
            return True
        if isinstance(experiment, PretrainExperiment) and (
            experiment.image_teacher or experiment.text_teacher
        ):
            return False
        return all(run in plan.records for run in resolved.parents.values())


def _key(resolved: Resolved[Any]) -> str:
    """Equal for trainings whose steps take equally much."""
    experiment = resolved.experiment
    if not isinstance(experiment, TransferExperiment):
        return resolved.run.rsplit("-", 1)[0]  # all but the seed
    training = experiment.training
    read = experiment.architecture, experiment.augmentation, experiment.supervised, experiment.segmentation
    told = [each.model_dump(mode="json") for each in (*read, training.optimiser)]
    size = training.batch_size, training.accumulation, training.precision, experiment.num_points
    is_probe = experiment.segments and experiment.protocol == "linear_probe"
    return json.dumps([told, resolved.datasets["data"], size, is_probe])
