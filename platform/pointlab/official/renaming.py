"""Official names of weights and ours: one table read in both directions.

A `Renaming` is a pair of beginnings of names, in which `*` stands for a number. What follows them (`weight`,
`running_mean`, `2.bias`) is the same on both sides. Convolutions of one point alone are linear layers here:
`kernel_axes` counts the axes of length 1 that their weights have more over there.
"""

import re
from dataclasses import dataclass, replace
from functools import lru_cache

from torch import Tensor

from pointlab.errors import DataError


@dataclass(frozen=True)
class Renaming:
    """Two beginnings of names that mean the same."""

    theirs: str
    ours: str
    kernel_axes: int = 0

    def their_name(self, name: str) -> str | None:
        """The official name of a weight of ours; None if it is not one of these."""
        found = _matcher(self.ours).fullmatch(name)
        if found is None:
            return None
        *numbers, rest = found.groups(default="")
        theirs = self.theirs
        for number in numbers:
            theirs = theirs.replace("*", number, 1)
        return theirs + rest

    def explains(self, key: str) -> bool:
        """Whether an official name is one of these."""
        return _matcher(self.theirs).fullmatch(key) is not None

    def their_shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """The shape over there of a weight that has `shape` here."""
        return shape + (1,) * self.kernel_axes if len(shape) == 2 else shape

    def within(self, theirs: str, ours: str) -> "Renaming":
        """The same pair with further beginnings put before both."""
        return replace(self, theirs=theirs + self.theirs, ours=ours + self.ours)


@dataclass(frozen=True)
class Part:
    """One of our modules within an official checkpoint."""

    module: str
    renamings: tuple[Renaming, ...]

    def explains(self, key: str) -> bool:
        """Whether an official name may belong to this module, however large that is."""
        return any(renaming.explains(key) for renaming in self.renamings)

    def find(self, name: str) -> tuple[str, Renaming]:
        """The official name of a weight of ours, and the pair that says so; DataError if there is none."""
        for renaming in self.renamings:
            if theirs := renaming.their_name(name):
                return theirs, renaming
        raise DataError(
            f"{self.module}.{name} has no place in this layout.",
            expected="a network of the layout's own kind",
            remedy="choose another --layout",
        )


def require_shape(tensor: Tensor, shape: tuple[int, ...], renaming: Renaming, theirs: str) -> None:
    """Return if an official tensor can take `shape` here; DataError if it has another one than it should."""
    expected = renaming.their_shape(shape)
    if tuple(tensor.shape) != expected:
        raise DataError(
            f"{theirs} has shape {tuple(tensor.shape)}.",
            expected=f"{expected}, as the other tensors of the file tell",
        )


@lru_cache(maxsize=1024)
def _matcher(beginning: str) -> re.Pattern[str]:
    return re.compile(re.escape(beginning).replace(r"\*", r"(\d+)") + r"(\..+)?")
