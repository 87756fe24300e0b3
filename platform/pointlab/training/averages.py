"""Running means of logged figures, over micro-batches and workers."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

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

        Every worker must take part, and at least one must have counted something.
        """
        everyone = distributed.gather_objects(self.document())
        self.totals, self.weight = {}, 0.0
        names = sorted(set().union(*(own["totals"] for own in everyone)))
        weight = sum(own["weight"] for own in everyone)
        return {name: sum(own["totals"].get(name, 0.0) for own in everyone) / weight for name in names}

    def document(self) -> dict[str, Any]:
        """What was counted on this worker, as plain numbers that JSON keeps bit for bit."""
        return {"weight": self.weight, "totals": {name: float(t) for name, t in self.totals.items()}}

    def restore(self, documents: Sequence[Mapping[str, Any]]) -> None:
        """Go on from the documents of all workers; where there were more, the first worker adds theirs."""
        rank, world_size = distributed.rank(), distributed.world_size()
        own = [document for number, document in enumerate(documents) if number == rank]
        if rank == 0:
            own += documents[world_size:]
        for document in own:
            for name, value in document["totals"].items():
                total = torch.tensor(value, dtype=torch.float64)
                self.totals[name] = self.totals[name] + total if name in self.totals else total
            self.weight += document["weight"]
