"""Matched compute: all pretrainings of a study get equally much of one thing, and their epochs follow.

What is equal decides who wins: with equal samples a paradigm of two views encodes twice the clouds, and with
equal operations a teacher that is asked in every step takes its share of the student's.
"""

import math
from collections.abc import Iterator, Mapping
from typing import Any, Literal, get_args

from pydantic import Field, model_validator

from pointlab.config import StrictModel
from pointlab.experiment.chains import OF
from pointlab.experiment.pretrain import PretrainExperiment
from pointlab.training.step_cost import StepCost

Quantity = Literal["samples", "clouds", "steps", "flops", "device_seconds"]
MEASURED = frozenset({"flops", "device_seconds"})
"""Quantities of which a step must have been taken before it is known how many steps there are to be."""
OF_LENGTH = ("epochs", "until")
"""Settings of a training that a budget decides."""


class Budget(StrictModel):
    """How much each pretraining gets of one of these; without its teachers, and what else it starts from."""

    samples: float | None = Field(default=None, gt=0)
    """Samples drawn from the set, however many views of each are encoded."""
    clouds: float | None = Field(default=None, gt=0)
    """Clouds encoded: every view of a sample is one."""
    steps: float | None = Field(default=None, gt=0)
    """Steps of the optimiser."""
    flops: float | None = Field(default=None, gt=0)
    """Operations of the steps, forward and backward, frozen teachers within them included."""
    device_seconds: float | None = Field(default=None, gt=0)
    """Time of the steps, by one that was timed; validation and checkpoints come on top."""

    @model_validator(mode="after")
    def _is_of_one_quantity(self) -> "Budget":
        given = [name for name in get_args(Quantity) if getattr(self, name) is not None]
        if len(given) != 1:
            raise ValueError(
                f"a budget fixes one quantity, and {' and '.join(given) or 'none'} is given: expected one of"
                f" {', '.join(get_args(Quantity))}, the others null"
            )
        return self

    @property
    def quantity(self) -> Quantity:
        """What is equal."""
        found: Quantity = next(name for name in get_args(Quantity) if getattr(self, name) is not None)
        return found

    @property
    def amount(self) -> float:
        """How much of it."""
        return float(getattr(self, self.quantity))

    @property
    def is_measured(self) -> bool:
        """Whether a step must be taken to know the epochs."""
        return self.quantity in MEASURED

    def epochs(self, pretraining: PretrainExperiment, num_rows: int, cost: StepCost | None) -> float:
        """Epochs of so many rows for as many whole steps as the budget has room for; one step at least."""
        batch_size = pretraining.training.batch_size
        match self.quantity:
            case "samples":
                of_step = float(batch_size)
            case "clouds":
                of_step = float(batch_size * pretraining.paradigm.num_views)
            case "steps":
                of_step = 1.0
            case "flops" | "device_seconds":
                assert cost is not None, "measured before"
                of_step = cost.flops if self.quantity == "flops" else cost.seconds
        steps = max(1, math.floor(self.amount / of_step))
        return math.floor(1e6 * steps * batch_size / num_rows) / 1e6  # down: no step more, which is begun


def require_no_length(settings: Iterator[tuple[str, Mapping[str, Any]]]) -> None:
    """ValueError for settings of a pretraining that say how long it is, where a budget does."""
    for where, one in settings:
        training = one.get("training")
        said = [name for name in OF_LENGTH if isinstance(training, Mapping) and name in training]
        if said and OF not in one:
            raise ValueError(
                f"{where}.training.{said[0]} is set, but budget says how long pretrainings are: leave one of"
                " them out"
            )
