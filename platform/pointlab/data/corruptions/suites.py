"""Which corruptions a model is measured under, and what tells one suite from another.

A suite is either generated here from clean clouds or read from the files that its authors released. The two
are different sets of clouds and never share a score: ModelNet-C's authors ask that their numbers come from
their files alone. The origin is therefore part of a suite's identity.
"""

from collections.abc import Iterator
from typing import Literal

from pydantic import Field, model_validator

from pointlab.config import StrictModel
from pointlab.data.corruptions.contract import SEVERITIES, Condition, Corruption
from pointlab.data.corruptions.modelnet40_c import MODELNET40_C
from pointlab.data.corruptions.modelnet_c import MODELNET_C
from pointlab.seeding import stable_hash

VERSION = 2
"""Of the code of all corruptions together."""

SuiteName = Literal["modelnet_c", "modelnet40_c"]
Origin = Literal["generated", "official"]
SUITES: dict[SuiteName, dict[str, Corruption]] = {"modelnet_c": MODELNET_C, "modelnet40_c": MODELNET40_C}


class CorruptionSuite(StrictModel):
    """The corruptions and severities of one suite, generated here or as they were released."""

    name: SuiteName
    origin: Origin = "generated"
    """generated: computed from the clouds of any set; official: the groups of a released, corrupted set."""
    seed: int = Field(default=0, ge=0)
    """Key of what is drawn for every cloud; other numbers give other clouds of the same kind."""
    corruptions: tuple[str, ...] | None = None
    """Some corruptions of the suite; null takes all, as every published mean does."""
    severities: tuple[int, ...] = Field(default=SEVERITIES, min_length=1)
    """All five, over which published means are taken."""
    version: int = VERSION
    """Of the corruptions' code, written out so that scores on other clouds are other runs; leave it alone."""

    @model_validator(mode="after")
    def _is_of_the_suite(self) -> "CorruptionSuite":
        known = SUITES[self.name]
        unknown = [name for name in self.corruptions or () if name not in known]
        if unknown:
            raise ValueError(f"{self.name} has no corruption {unknown[0]!r}; it has {', '.join(known)}")
        if not set(self.severities) <= set(SEVERITIES):
            raise ValueError(f"severities go from {SEVERITIES[0]} to {SEVERITIES[-1]}")
        for values in (self.corruptions, self.severities):
            if values is not None and (not values or len(set(values)) < len(values)):
                raise ValueError("corruptions and severities are named once each, and at least one")
        if self.version != VERSION:
            raise ValueError(f"these clouds can no longer be made: the corruptions are at version {VERSION}")
        if self.origin == "official" and self.seed:
            raise ValueError("nothing is drawn for an official suite: leave its seed out")
        return self

    @property
    def chosen(self) -> tuple[str, ...]:
        """The corruptions in the order of the suite."""
        return tuple(
            name for name in SUITES[self.name] if self.corruptions is None or name in self.corruptions
        )

    @property
    def is_whole(self) -> bool:
        """Whether it is what published means are taken over."""
        return self.chosen == tuple(SUITES[self.name]) and set(self.severities) == set(SEVERITIES)

    @property
    def stamp(self) -> str:
        """What a table may compare figures under it with: the name, and what is not as usual."""
        return f"{self.name}{self.choice}"

    @property
    def choice(self) -> str:
        """Which part it is, and which draw, as the end of a stamp: means over other conditions or other
        clouds are their own. Nothing of a whole suite as it is usually drawn."""
        corruptions = "" if self.chosen == tuple(SUITES[self.name]) else f"/{'+'.join(self.chosen)}"
        of_all = set(self.severities) == set(SEVERITIES)
        severities = "" if of_all else f"/severities-{'+'.join(map(str, sorted(self.severities)))}"
        part = "" if self.is_whole else f"/part{corruptions}{severities}"
        return f"{part}/seed-{self.seed}" if self.seed else part

    def conditions(self) -> Iterator[Condition]:
        """Every corruption at every severity."""
        return ((name, severity) for name in self.chosen for severity in sorted(self.severities))

    def identity(self, dataset: str, split: str, num_points: int) -> str:
        """Hash of all that decides which clouds a score was measured on, as far as it is known beforehand.

        `dataset` is a prepared set's name, which holds the hash of its content.
        """
        what = [f"{name}/{severity}" for name, severity in self.conditions()]
        code = self.version if self.origin == "generated" else 0
        return stable_hash(
            "suite", self.name, self.origin, self.seed, code, dataset, split, num_points, *what
        )
