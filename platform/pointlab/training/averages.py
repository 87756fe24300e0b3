"""Running means of logged figures, over micro-batches and workers."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor

from pointlab import distributed


@dataclass
class Averages:
    """Means since they were last taken, weighted by the number of samples."""

    totals: dict[str, Tensor] = field(default_factory=dict)
    weight: float = 0.0

    def add(self, figures: Mapping[str, Tensor], weight: float) -> None:
        """Count `figures`, which are means over `weight` samples; nothing is copied from the device."""
        for name, value in figures.items():
            weighted = value.detach().double() * weight
            self.totals[name] = self.totals[name] + weighted if name in self.totals else weighted
        self.weight += weight

    def take(self) -> dict[str, float]:
        """The means over all workers, the same on each; counting starts anew.

        Every worker must take part, and must have counted the same figures, or none.
        """
        names = sorted(set().union(*distributed.gather_objects(set(self.totals))))
        zero = torch.zeros((), dtype=torch.float64)
        own = [torch.tensor(self.weight, dtype=torch.float64)]
        own += [self.totals.get(name, zero).cpu() for name in names]
        summed = sum(distributed.gather_objects(torch.stack(own)))
        assert isinstance(summed, Tensor), "at least this worker took part"
        self.totals, self.weight = {}, 0.0
        return {name: float(value / summed[0]) for name, value in zip(names, summed[1:], strict=True)}
