"""The axes of a study, and which of their combinations it has: a cell for each that is not left out."""

import difflib
import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

Level = int | str | None
Axis = Literal["start", "backbone", "route", "protocol", "samples_per_class", "seed"]
Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]*$")]
"""Names of levels become parts of the names of runs."""
ALL = "all"
"""Every label, or every backbone, in tables and names."""


def _as_list(value: Any) -> Any:
    return value if isinstance(value, list | tuple) else [value]


Selection = dict[Axis, Annotated[tuple[Level, ...], BeforeValidator(_as_list)]]
"""Some combinations: on each axis named, one of the levels given; axes that are not named don't matter."""


@dataclass(frozen=True)
class Levels:
    """Where a cell lies on every axis."""

    start: str
    backbone: str
    route: str
    protocol: str
    samples_per_class: int | None
    seed: int

    @property
    def labels(self) -> str:
        """How many labelled clouds of each class there are, in a word."""
        return ALL if self.samples_per_class is None else str(self.samples_per_class)

    @property
    def name(self) -> str:
        """The cell's name, without its seed."""
        few = "" if self.samples_per_class is None else "-per-class"
        return f"{self.start}-{self.backbone}-{self.route}-{self.protocol}-{self.labels}{few}"

    def are_in(self, selection: Selection) -> bool:
        """Whether the selection has this combination."""
        own = asdict(self)
        return all(own[axis] in chosen for axis, chosen in selection.items())


def combinations(
    axes: Mapping[Axis, Sequence[Any]], only: Sequence[Selection], exclude: Sequence[Selection]
) -> Iterator[Levels]:
    """Every combination that is in one of `only`, if there are any, and in none of `exclude`."""
    for values in itertools.product(*axes.values()):
        levels = Levels(**dict(zip(axes, values, strict=True)))
        is_wanted = not only or any(levels.are_in(selection) for selection in only)
        if is_wanted and not any(levels.are_in(selection) for selection in exclude):
            yield levels


def require_known(selection: Selection, axes: Mapping[Axis, Sequence[Any]], where: str) -> None:
    """ValueError for a level that its axis does not have: a misspelt one would leave nothing out."""
    for axis, chosen in selection.items():
        for level in chosen:
            if level not in axes[axis]:
                near = difflib.get_close_matches(str(level), [str(known) for known in axes[axis]], n=1)
                hint = f"; did you mean {near[0]!r}?" if near else ""
                known = ", ".join(str(known) for known in axes[axis])
                raise ValueError(f"{where} names the {axis} {level!r}, which is none of {known}{hint}")
