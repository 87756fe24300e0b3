"""How a search proposes, when it gives a trial up early, and by what it compares trials.

Sources: TPE, Bergstra et al. 2011; NSGA-II, Deb et al. 2002; both by Optuna. ASHA, Li et al. 2020, by Ray
Tune. Population-based training, Jaderberg et al. 2017.
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


class Pbt(StrictModel):
    """Population-based training: settings that change in mid-training, each generation by what went well in
    the one before. A trial is one member's training in one generation."""

    kind: Literal["pbt"] = "pbt"
    population: int = Field(default=8, ge=2)
    """Members, all trained to the end. The paper takes 10 to 80; eight fill a small machine for a night."""
    interval: int = Field(default=10, ge=1)
    """Epochs of a generation: long enough for a setting to show, short enough to change it often."""
    quantile: float = Field(default=0.25, gt=0, le=0.5)
    """Share of the members, at least one, that give up and go on from one of as many best; a fifth in the
    paper, a quarter in Ray Tune."""
    resample: float = Field(default=0.25, ge=0, le=1)
    """Chance that a setting of who gave up is drawn anew, and not multiplied by 0.8 or 1.2; Ray Tune's."""

    def generations(self, epochs: float) -> int:
        """How many there are in so many epochs; the last one takes those that are left over as well.

        Two at least where `require_generations` has nothing against it.
        """
        return int(epochs // self.interval)

    def require_generations(self, epochs: float) -> None:
        """ValueError where nobody would ever go on from another: in one generation all is drawn at random."""
        if self.generations(epochs) >= 2:
            return
        longest = int(epochs // 2)
        remedy = f"set it to at most {longest}" if longest else "train for two epochs at least"
        raise ValueError(
            f"sampler.interval is {self.interval}, which leaves less than two generations of {epochs:g}"
            f" epochs, so that no member would go on from another: {remedy}, or set sampler.kind to random"
        )


SamplerConfig = Annotated[Tpe | Random | Grid | Nsga2 | Pbt, Field(discriminator="kind")]


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
        split, slash, name = metric.partition("/")
        if split == "test" or split.endswith("-test"):
            raise ValueError(
                f"{metric} is of a test split, which nothing is chosen by: name a figure of validation, such"
                f" as {split.removesuffix('test')}validation/{name or 'accuracy'}"
            )
        if not slash:
            raise ValueError(f"{metric} names no figure: expected split/figure, such as validation/accuracy")
        return metric

    def gain(self, value: float) -> float:
        """The value so that larger is better."""
        return value if self.direction == "maximise" else -value
