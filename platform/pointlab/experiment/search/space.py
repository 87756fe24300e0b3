"""What a search may set: a number between two bounds, or one of some values.

A search over a grid takes `steps` numbers of a range, evenly spaced on its scale, and every value of a
choice.
"""

import math
from abc import ABC, abstractmethod
from typing import Annotated, Literal

from pydantic import Field, model_validator

from pointlab.config import StrictModel, require_different

Value = float | int | str | bool
BETWEEN = 0.618
"""Share of the way from bound to bound at which a space is tried out: the golden section, no simple
fraction."""
Settings = dict[str, Value]
"""Values by the dotted paths of a search's space: what is particular to one trial."""


class _Range(StrictModel, ABC):
    """What the ranges share; each says which number lies `part` / `whole` of the way between its bounds."""

    low: float
    high: float
    steps: int | None = Field(default=None, ge=2)
    """Numbers that a grid takes of it, both bounds among them; other samplers take any."""

    @model_validator(mode="after")
    def _is_a_range(self) -> "_Range":
        if self.low >= self.high:
            raise ValueError(
                f"low is {self.low:g} and high {self.high:g}: expected low below high; a single value belongs"
                " into transfer"
            )
        return self

    @property
    def extremes(self) -> tuple[float, ...]:
        """Both bounds, and a number between them that is no whole one where a setting may have to be."""
        return self.low, self.high, self.at(BETWEEN)

    @property
    def grid(self) -> tuple[float, ...]:
        """`steps` numbers, evenly spaced on the scale; none where no steps are given."""
        count = self.steps or 0
        inner = (self._between(step, count - 1) for step in range(1, count - 1))
        return (self.low, *inner, self.high) if count else ()

    def at(self, share: float) -> float:
        """The number at a share in [0, 1) of the way from the lower bound to the upper one, on the scale."""
        return self._between(share, 1)

    def holds(self, value: Value) -> bool:
        """Whether the value lies between the bounds."""
        return not isinstance(value, str | bool) and self.low <= value <= self.high

    def scaled(self, value: Value, factor: float) -> float:
        """The value times the factor; the bound that it would cross, if it would."""
        assert not isinstance(value, str | bool), "a value of this range"
        return min(max(factor * value, self.low), self.high)

    @abstractmethod
    def _between(self, part: float, whole: int) -> float:
        """The number `part` / `whole` of the way up."""


class Uniform(_Range):
    """A number between two bounds, on a linear scale."""

    kind: Literal["uniform"]

    def _between(self, part: float, whole: int) -> float:
        return self.low + (self.high - self.low) * part / whole


class LogUniform(_Range):
    """A positive number between two bounds, on a logarithmic scale."""

    kind: Literal["log_uniform"]
    low: float = Field(gt=0)
    high: float = Field(gt=0)

    def _between(self, part: float, whole: int) -> float:
        low, high = math.log(self.low), math.log(self.high)
        return min(max(math.exp(low + (high - low) * (part / whole)), self.low), self.high)


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
