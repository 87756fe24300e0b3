"""What the shapes of a checkpoint's tensors say about the network that they belong to."""

import re
from collections.abc import Mapping

from torch import Tensor

from pointlab.errors import DataError


class Shapes:
    """Sizes by official name, below some beginning of names."""

    def __init__(self, weights: Mapping[str, Tensor], beginning: str = "") -> None:
        self.beginning = beginning
        self._shapes = {
            name.removeprefix(beginning): tuple(tensor.shape)
            for name, tensor in weights.items()
            if name.startswith(beginning)
        }
        self._weights = weights

    def under(self, beginning: str) -> "Shapes":
        """The sizes of names that go on after `beginning`."""
        return Shapes(self._weights, self.beginning + beginning)

    def has(self, beginning: str) -> bool:
        """Whether any name begins so."""
        return any(name.startswith(beginning) for name in self._shapes)

    def size(self, name: str, axis: int = 0) -> int:
        """Length of one axis of a tensor; DataError where the file lacks it."""
        shape = self._shapes.get(name, ())
        if len(shape) <= axis or not shape[axis]:
            found = f"has shape {shape}" if name in self._shapes else "is missing"
            raise DataError(
                f"{self.beginning}{name} {found}, and the network's size is read off it.",
                remedy="check that the file is a whole checkpoint, or name its --layout",
            )
        return shape[axis]

    def count(self, pattern: str) -> int:
        """How many numbers from 0 on stand at the `*` of a name; DataError where some are left out."""
        matcher = re.compile(re.escape(pattern).replace(r"\*", r"(\d+)"))
        numbers = sorted(int(found[1]) for name in self._shapes if (found := matcher.fullmatch(name)))
        if not numbers or numbers != list(range(len(numbers))):
            raise DataError(
                f"{self.beginning}{pattern} is there for {numbers or 'no number'}.",
                expected="all numbers from 0 on",
                remedy="check that the file is a whole checkpoint, or name its --layout",
            )
        return len(numbers)
