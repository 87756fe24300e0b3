"""`kind: search`: Ray Tune looks for the best fine-tuning of one transfer.

A trial is an ordinary transfer experiment that leaves the test splits alone. Its mixing coefficient is
not sampled: a sweep inside the trial tries the whole grid, as that needs no training. The search then
measures the best trial's classifier on the test splits, once.
"""

import functools
from collections.abc import Sequence
from typing import Any, Literal

from pydantic import Field, model_validator

from pointlab.config import StrictModel, merge, nested, validate
from pointlab.data.dataset import DatasetConfig
from pointlab.errors import ConfigError
from pointlab.experiment.changes import require_mutable
from pointlab.experiment.placement import LaunchConfig, RayByDefault, StorageConfig
from pointlab.experiment.resolve import definition
from pointlab.experiment.search.figures import require_told
from pointlab.experiment.search.settings import (
    Asha,
    Nsga2,
    Objective,
    Pbt,
    SamplerConfig,
    StoppingConfig,
    Tpe,
)
from pointlab.experiment.search.space import Distribution, Settings, grid_size
from pointlab.experiment.transfer import TransferExperiment

NUM_TRIALS = 16
"""Trials of a sampler that has no end of its own, where nobody says how many."""
AT_MOST = {
    "minimum_learning_rate": "optimiser.learning_rate",
    "warmup_epochs": "epochs",
    "accumulation": "batch_size",
}
"""Settings of a training that must not exceed others of it."""


class SearchExperiment(StrictModel):
    """One transfer and the settings to search around it: what proposes, what stops early, what is
    compared."""

    kind: Literal["search"] = "search"
    name: str = Field(pattern=r"^[a-z0-9][a-z0-9-]*$")
    seed: int = Field(default=0, ge=0)
    transfer: TransferExperiment
    space: dict[str, Distribution] = Field(min_length=1)
    """Dotted paths within `transfer`, such as `training.optimiser.learning_rate` or `mixture.by_depth.0`.
    With paths that begin with `pretrained.`, every trial pretrains for itself, unless another one has with
    equal settings."""
    num_trials: int | None = Field(default=None, ge=1)
    """null takes the whole grid, all generations of a population, and 16 trials of any other sampler."""
    sampler: SamplerConfig = Tpe()
    stopping: StoppingConfig = Asha()
    objectives: tuple[Objective, ...] = Field(default=(Objective(),), min_length=1)
    """What trials are compared by, figures of their records; of several there is a front, and a stated rule
    recommends one of it."""
    warm_start: tuple[str, ...] = ()
    """Runs of earlier searches: what their trials found is told to the sampler beforehand."""
    max_concurrent: int | None = Field(default=None, ge=1, json_schema_extra={"identity": False})
    """Trials at a time; null runs as many as the cluster has room for."""
    launch: RayByDefault = LaunchConfig(kind="ray", cpus_per_worker=1)
    storage: StorageConfig = StorageConfig()

    @property
    def total(self) -> int:
        """How many trials there will be."""
        if self.num_trials is not None:
            return self.num_trials
        if isinstance(self.sampler, Pbt):
            return self.sampler.population * self.sampler.generations(self.transfer.training.end)
        return grid_size(self.space) if self.sampler.kind == "grid" else NUM_TRIALS

    @property
    def stamp(self) -> str:
        """That of its trials; searching is part of it, as more trials see validation more often."""
        return f"{self.transfer.stamp}/search-{self.total}"

    @property
    def datasets(self) -> dict[str, DatasetConfig]:
        """Those of its trials."""
        return self.transfer.datasets

    @property
    def varies_pretraining(self) -> bool:
        """Whether trials differ in how the backbone is pretrained, or in its architecture."""
        return any(path.partition(".")[0] == "pretrained" for path in self.space)

    @model_validator(mode="after")
    def _population_fits(self) -> "SearchExperiment":
        """ValueError where members could not go on from each other in mid-training, or not be compared."""
        if not isinstance(self.sampler, Pbt):
            return self
        transfer, other = self.transfer, "; another sampler, such as tpe, can"
        if transfer.protocol != "full" or transfer.segments:
            raise ValueError(
                f"sampler pbt changes settings in the midst of one fine-tuning of clouds, which protocol"
                f" {transfer.stamp} is not: set transfer.protocol to full{other}"
            )
        if transfer.changes:
            raise ValueError("transfer.changes are what sampler pbt is to find: leave them out")
        if self.num_trials is not None:
            raise ValueError(
                f"num_trials is {self.num_trials}, but a population has as many trials as members times"
                " generations: leave it out, and set sampler.population"
            )
        if len(self.objectives) > 1:
            raise ValueError(
                f"sampler pbt ranks members by one figure, and there are {len(self.objectives)} objectives:"
                " name one, or set sampler.kind to nsga2"
            )
        if self.launch.num_workers != 1:
            raise ValueError(
                f"launch.num_workers is {self.launch.num_workers}, but members of a population train on one"
                " worker each: groups of workers would meet anew in every generation, which takes longer than"
                f" many a generation itself. Set it to 1{other}"
            )
        require_mutable(tuple(self.space), "space")
        self.sampler.require_generations(transfer.training.end)
        return self

    @model_validator(mode="after")
    def _space_fits(self) -> "SearchExperiment":
        if self.transfer.protocol == "soup":
            raise ValueError(
                "protocol soup fine-tunes several times in each trial: search one fine-tuning, by protocol"
                " full, then list the settings of good trials in soup.ingredients"
            )
        if self.transfer.test and not self.transfer.leaves_classifier:
            raise ValueError(
                f"protocol {self.transfer.protocol} leaves no classifier to be tested: set transfer.test to"
                " false"
            )
        if self.transfer.chooses_on_test:
            raise ValueError(
                "transfer.legacy.best_on_test chooses on the test split, which the trials of a search leave"
                " alone: leave it out"
            )
        stamp = make_trial(self, {}).stamp
        for path, distribution in self.space.items():
            trials = [make_trial(self, {path: value}) for value in distribution.extremes]
            if len(trials) > 1 and all(_defines(trial) == _defines(trials[0]) for trial in trials):
                raise ValueError(
                    f"space.{path} makes no difference to a trial of protocol {self.transfer.protocol}: leave"
                    " it out"
                )
            for trial in trials:
                if trial.datasets != self.datasets:
                    raise ValueError(f"space.{path} changes a dataset: the datasets of a search are fixed")
                if trial.stamp != stamp:
                    raise ValueError(
                        f"space.{path} makes a trial's protocol {trial.stamp}, but that of transfer is"
                        f" {stamp}, and no table compares the two: leave {path} out of the space, or make a"
                        " search of each"
                    )
        self._require_fitting_corners()
        return self

    def _require_fitting_corners(self) -> None:
        """ValueError for two settings, each possible by itself, that trials could not have together."""
        for small, large in AT_MOST.items():
            paths = [f"training.{small}", f"training.{large}"]
            for smaller, larger in (paths, [f"pretrained.{path}" for path in paths]):
                if not {smaller, larger} <= self.space.keys():
                    continue
                highest = max(self.space[smaller].extremes, key=float)
                lowest = min(self.space[larger].extremes, key=float)
                try:
                    make_trial(self, {smaller: highest, larger: lowest})
                except ConfigError as error:
                    raise ValueError(
                        f"space.{smaller} goes up to {highest} and space.{larger} down to {lowest}, which no"
                        f" trial can have together: expected the one at most the other, everywhere in the"
                        f" space ({error})"
                    ) from None

    @model_validator(mode="after")
    def _objectives_are_told(self) -> "SearchExperiment":
        """ValueError for a figure that no trial will have, as its name alone tells."""
        for objective in self.objectives:
            require_told(objective.metric, self.transfer)
        return self

    @model_validator(mode="after")
    def _sampler_fits(self) -> "SearchExperiment":
        if self.warm_start and not isinstance(self.sampler, Tpe):
            raise ValueError(
                f"warm_start names {', '.join(self.warm_start)}, but sampler {self.sampler.kind} would look"
                " at no trial of theirs: leave warm_start out, or set sampler.kind to tpe"
            )
        if self.sampler.kind != "grid":
            return self
        if ranges := [path for path, distribution in self.space.items() if not distribution.grid]:
            raise ValueError(f"sampler grid takes points of each range: set space.{ranges[0]}.steps")
        size = grid_size(self.space)
        if self.total > size:
            raise ValueError(f"num_trials is {self.num_trials}, but the grid has {size} points: set null")
        return self

    @model_validator(mode="after")
    def _stopping_fits(self) -> "SearchExperiment":
        """ValueError where trials could not be compared, or not by what is reported in the middle of them."""
        metrics = [objective.metric for objective in self.objectives]
        if len(set(metrics)) < len(metrics):
            raise ValueError("objectives names a metric twice: expected different ones")
        if isinstance(self.stopping, Asha):
            none = "set stopping to {kind: none}"
            if len(metrics) > 1:
                raise ValueError(
                    f"stopping asha ranks trials by one figure, and there are {len(metrics)} objectives:"
                    f" {none}"
                )
            if isinstance(self.sampler, Pbt):
                raise ValueError(f"sampler pbt gives up trials itself, the worst of a generation: {none}")
            if isinstance(self.sampler, Nsga2):
                raise ValueError(f"sampler nsga2 breeds from trials that came to their end only: {none}")
        return self

    @model_validator(mode="after")
    def _launch_fits(self) -> "SearchExperiment":
        if self.launch.kind != "ray":
            raise ValueError("a search runs on Ray Tune: launch.kind must be 'ray'")
        if not isinstance(self.launch.num_workers, int):
            raise ValueError(
                f"launch.num_workers is {list(self.launch.num_workers)}, but every trial has the same"
                " number of workers: expected a number"
            )
        if self.varies_pretraining and self.launch.num_workers > 1:
            raise ValueError(
                f"launch.num_workers is {self.launch.num_workers}, but what a trial pretrains for itself is"
                " made by one process: set it to 1, or take pretrained.* out of the space"
            )
        return self


def _defines(trial: TransferExperiment) -> Any:
    """What sets a trial apart from others: all of it that can change a result."""
    fields = definition(trial, lambda config: config.recipe(), is_outermost=False)  # its seed counts
    for path in trial.unread:  # names of runs may count it, by which finished ones are found
        *parts, last = path.split(".")
        functools.reduce(dict.__getitem__, parts, fields).pop(last, None)
    return fields


def make_trial(
    search: SearchExperiment, values: Settings, before: Sequence[Settings] = ()
) -> TransferExperiment:
    """The transfer experiment with these values at their dotted paths, and without its test.

    That of a population's member begins with the values of the generations `before`, and leaves off at the
    end of its own.
    """
    settings = search.transfer.model_dump(mode="json")
    first, *later = (*before, values)
    for path, value in first.items():
        settings = merge(settings, nested(path, value))
    settings |= {"name": f"{search.name}-trial", "test": False}
    if isinstance(search.sampler, Pbt):
        interval = search.sampler.interval
        settings["changes"] = [
            {"epoch": interval * number, "settings": each} for number, each in enumerate(later, start=1)
        ]
        if len(later) + 1 < search.sampler.generations(search.transfer.training.end):
            settings["training"] |= {"until": interval * (len(later) + 1)}
    trial: TransferExperiment = validate(
        TransferExperiment,
        settings,
        f"a trial with {values}" if values else "a trial with no setting of its own",
    )
    return trial
