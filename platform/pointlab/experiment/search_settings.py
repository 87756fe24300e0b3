"""How a search proposes, when it gives a trial up early, and by what it compares trials.

Sources: TPE, Bergstra et al. 2011; NSGA-II, Deb et al. 2002; both by Optuna. ASHA, Li et al. 2020, by Ray
Tune.
"""

from typing import Annotated, Literal

from pydantic import Field, field_validator

from pointlab.config import StrictModel

Direction = Literal["maximise", "minimise"]
SCORE = "selection/score"
"""The figure that one transfer chooses its own classifier by: after a sweep, validation accuracy by the
stated rule at the chosen coefficient; without one, the validation figure of its task."""


class Tpe(StrictModel):
    """Proposals near what did well so far (tree-structured Parzen estimator); a model of each setting."""

    kind: Literal["tpe"] = "tpe"
    batch: int | None = Field(default=4, ge=1)
    """Proposals that are made together, from all trials of the batches before, so that they depend neither on
    timing nor on how many trials run at a time. null proposes whenever a place is free: faster where trials
    differ in length, and not reproducible. Four fill a small machine, and let the model learn often."""
    startup: int = Field(default=10, ge=1)
    """Trials drawn at random before the model is asked; Optuna's default."""


class Random(StrictModel):
    """Every trial drawn by itself from (seed, number): hard to beat where few settings matter."""

    kind: Literal["random"] = "random"


class Grid(StrictModel):
    """Every combination of the listed values, in an order drawn by the seed, so that a part is a fair one."""

    kind: Literal["grid"] = "grid"


class Nsga2(StrictModel):
    """Generations bred from the best fronts so far: for several objectives that compete."""

    kind: Literal["nsga2"] = "nsga2"
    batch: int = Field(default=8, ge=2)
    """Trials of a generation, proposed together. Optuna takes 50, more than most searches here have at
    all."""


SamplerConfig = Annotated[Tpe | Random | Grid | Nsga2, Field(discriminator="kind")]


class Asha(StrictModel):
    """Give up trials that are behind others at the same epoch (asynchronous successive halving)."""

    kind: Literal["asha"] = "asha"
    grace_epochs: int = Field(default=3, ge=1)
    """Epochs that every trial gets."""
    reduction_factor: float = Field(default=3, gt=1)
    """One trial of so many is kept at each rung; 3 to 4 in the paper."""


class NoStopping(StrictModel):
    """Every trial comes to its end."""

    kind: Literal["none"] = "none"


StoppingConfig = Annotated[Asha | NoStopping, Field(discriminator="kind")]


class Objective(StrictModel):
    """A figure of a trial's record, and which way is better."""

    metric: str = SCORE
    """Such as `shifted-validation/accuracy`; figures of test splits are refused, as choosing reads none."""
    direction: Direction = "maximise"

    @field_validator("metric")
    @classmethod
    def _is_of_validation(cls, metric: str) -> str:
        split, slash, _ = metric.partition("/")
        if split == "test" or split.endswith("-test"):
            raise ValueError(
                f"{metric} is of a test split, which nothing is chosen by: name a figure of validation, such"
                f" as {split.removesuffix('test')}validation/accuracy"
            )
        if not slash:
            raise ValueError(f"{metric} names no figure: expected split/figure, such as validation/accuracy")
        return metric

    def gain(self, value: float) -> float:
        """The value so that larger is better."""
        return value if self.direction == "maximise" else -value
