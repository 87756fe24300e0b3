"""`kind: search`: Ray Tune looks for the best fine-tuning of one transfer.

A trial is an ordinary transfer experiment that leaves the test splits alone. Its mixing coefficient is
not sampled: a sweep inside the trial tries the whole grid, as that needs no training. The search then
measures the best trial's classifier on the test splits, once.
"""

from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from pointlab.config import StrictModel, merge, nested, validate
from pointlab.data.dataset import DatasetConfig
from pointlab.experiment.placement import LaunchConfig, RayByDefault, StorageConfig
from pointlab.experiment.transfer import TransferExperiment


class Uniform(StrictModel):
    """A number between two bounds, on a linear scale."""

    kind: Literal["uniform"]
    low: float
    high: float

    @property
    def extremes(self) -> tuple[float, float]:
        """Both bounds."""
        return self.low, self.high


class LogUniform(StrictModel):
    """A positive number between two bounds, on a logarithmic scale."""

    kind: Literal["log_uniform"]
    low: float = Field(gt=0)
    high: float = Field(gt=0)

    @property
    def extremes(self) -> tuple[float, float]:
        """Both bounds."""
        return self.low, self.high


class Choice(StrictModel):
    """One of the listed values."""

    kind: Literal["choice"]
    values: tuple[float | int | str | bool, ...] = Field(min_length=1)

    @property
    def extremes(self) -> tuple[float | int | str | bool, ...]:
        """Every value: no order says which of them lie between others."""
        return self.values


Distribution = Annotated[Uniform | LogUniform | Choice, Field(discriminator="kind")]


class SearchExperiment(StrictModel):
    """One transfer and the settings to search around it, with Optuna's sampler and ASHA's early stopping."""

    kind: Literal["search"] = "search"
    name: str = Field(pattern=r"^[a-z0-9][a-z0-9-]*$")
    seed: int = Field(default=0, ge=0)
    transfer: TransferExperiment
    space: dict[str, Distribution]
    """Dotted paths within `transfer`, such as `training.optimiser.learning_rate`. With paths that begin with
    `pretrained.`, every trial pretrains for itself, unless another one has with equal settings."""
    num_trials: int = Field(default=16, ge=1)
    grace_epochs: int = Field(default=3, ge=1)
    """Epochs every trial gets before ASHA may stop it."""
    reduction_factor: float = Field(default=3, gt=1)
    """ASHA keeps one trial of so many at each rung; 3 to 4 in the ASHA paper."""
    max_concurrent: int | None = Field(default=None, ge=1, json_schema_extra={"identity": False})
    """Trials at a time; null runs as many as the cluster has room for."""
    launch: RayByDefault = LaunchConfig(kind="ray", cpus_per_worker=1)
    storage: StorageConfig = StorageConfig()

    @property
    def stamp(self) -> str:
        """That of its trials; searching is part of it, as more trials see validation more often."""
        return f"{self.transfer.stamp}/search-{self.num_trials}"

    @property
    def datasets(self) -> dict[str, DatasetConfig]:
        """Those of its trials."""
        return self.transfer.datasets

    @property
    def varies_pretraining(self) -> bool:
        """Whether trials differ in how the backbone is pretrained, or in its architecture."""
        return any(path.partition(".")[0] == "pretrained" for path in self.space)

    @model_validator(mode="after")
    def _space_fits(self) -> "SearchExperiment":
        if self.launch.kind != "ray":
            raise ValueError("a search runs on Ray Tune: launch.kind must be 'ray'")
        for path, distribution in self.space.items():
            for value in distribution.extremes:
                trial = make_trial(self, {path: value})
                if trial.datasets != self.datasets:
                    raise ValueError(f"space.{path} changes a dataset: the datasets of a search are fixed")
                if trial.stamp != self.transfer.stamp:
                    raise ValueError(
                        f"space.{path} makes a trial's protocol {trial.stamp}, but that of transfer is"
                        f" {self.transfer.stamp}, and no table compares the two: leave {path} out of the"
                        " space, or make a search of each"
                    )
        return self


def make_trial(search: SearchExperiment, values: dict[str, Any]) -> TransferExperiment:
    """The transfer experiment with these values at their dotted paths, and without its test."""
    settings = search.transfer.model_dump(mode="json")
    for path, value in values.items():
        settings = merge(settings, nested(path, value))
    settings |= {"name": f"{search.name}-trial", "test": False}
    trial: TransferExperiment = validate(TransferExperiment, settings, f"a trial with {values}")
    return trial
