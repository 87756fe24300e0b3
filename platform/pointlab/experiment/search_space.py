"""What a search may set: a number between two bounds, or one of some values.

A search over a grid takes `steps` numbers of a range, evenly spaced on its scale, and every value of a
choice.
"""

import math
from typing import Annotated, Literal

from pydantic import Field, model_validator

from pointlab.config import StrictModel, require_different

Value = float | int | str | bool
BETWEEN = 0.618
"""Share of the way from bound to bound at which a space is tried out: the golden section, no simple
fraction."""
Settings = dict[str, Value]
"""Values by the dotted paths of a search's space: what is particular to one trial."""


class Uniform(StrictModel):
    """A number between two bounds, on a linear scale."""

    kind: Literal["uniform"]
    low: float
    high: float
    steps: int | None = Field(default=None, ge=2)
    """Numbers that a grid takes of it, both bounds among them; other samplers take any."""

    @model_validator(mode="after")
    def _is_a_range(self) -> "Uniform":
        _require_range(self)
        return self

    @property
    def extremes(self) -> tuple[float, ...]:
        """Both bounds, and a number between them that is no whole one where a setting may have to be."""
        return self.low, self.high, self.at(BETWEEN)

    @property
    def grid(self) -> tuple[float, ...]:
        """`steps` numbers, evenly spaced; none where no steps are given."""
        count = self.steps or 0
        inner = (self.low + (self.high - self.low) * step / (count - 1) for step in range(1, count - 1))
        return (self.low, *inner, self.high) if count else ()

    def at(self, share: float) -> float:
        """The number at a share in [0, 1) of the way from the lower bound to the upper one."""
        return self.low + (self.high - self.low) * share

    def holds(self, value: Value) -> bool:
        """Whether the value lies between the bounds."""
        return not isinstance(value, str | bool) and self.low <= value <= self.high


class LogUniform(StrictModel):
    """A positive number between two bounds, on a logarithmic scale."""

    kind: Literal["log_uniform"]
    low: float = Field(gt=0)
    high: float = Field(gt=0)
    steps: int | None = Field(default=None, ge=2)
    """Numbers that a grid takes of it, both bounds among them; other samplers take any."""

    @model_validator(mode="after")
    def _is_a_range(self) -> "LogUniform":
        _require_range(self)
        return self

    @property
    def extremes(self) -> tuple[float, ...]:
        """Both bounds, and a number between them that is no whole one where a setting may have to be."""
        return self.low, self.high, self.at(BETWEEN)

    @property
    def grid(self) -> tuple[float, ...]:
        """`steps` numbers of equal ratios; none where no steps are given."""
        count = self.steps or 0
        inner = (self.at(step / (count - 1)) for step in range(1, count - 1))
        return (self.low, *inner, self.high) if count else ()

    def at(self, share: float) -> float:
        """The number at a share in [0, 1) of the way from the lower bound to the upper one, in logarithms."""
        low, high = math.log(self.low), math.log(self.high)
        return min(max(math.exp(low + (high - low) * share), self.low), self.high)

    def holds(self, value: Value) -> bool:
        """Whether the value lies between the bounds."""
        return not isinstance(value, str | bool) and self.low <= value <= self.high


class Choice(StrictModel):
    """One of the listed values."""

    kind: Literal["choice"]
    values: tuple[Value, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _values_differ(self) -> "Choice":
        require_different(self.values)
        return self

    @property
    def extremes(self) -> tuple[Value, ...]:
        """Every value: no order says which of them lie between others."""
        return self.values

    @property
    def grid(self) -> tuple[Value, ...]:
        """Every value."""
        return self.values

    def at(self, share: float) -> Value:
        """The value at a share in [0, 1) of the list."""
        return self.values[int(share * len(self.values))]

    def holds(self, value: Value) -> bool:
        """Whether the value is listed."""
        return value in self.values


Distribution = Annotated[Uniform | LogUniform | Choice, Field(discriminator="kind")]


def grid_size(space: dict[str, Distribution]) -> int:
    """Points of the whole grid; 0 where a range says nothing of its steps."""
    return math.prod(len(distribution.grid) for distribution in space.values())


def _require_range(distribution: Uniform | LogUniform) -> None:
    if distribution.low >= distribution.high:
        raise ValueError(
            f"low is {distribution.low:g} and high {distribution.high:g}: expected low below high; a single"
            " value belongs into transfer"
        )
