"""Places of clouds, fewer from level to level: which are picked, what lies around them, and the way back.

All of it follows from coordinates, numbers and radii, not from channels or weights: each is found once, and
only where asked for, however many networks look at the same clouds.
"""

from dataclasses import dataclass
from functools import cached_property

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from pointlab.geometry.ball import ball_neighbours
from pointlab.geometry.interpolation import Interpolation
from pointlab.geometry.neighbours import nearest_neighbours
from pointlab.geometry.sampling import farthest_point_sample, gather_points


@dataclass(frozen=True)
class Ball:
    """The members of a ball around each centre: their rows, and where they lie from the centre."""

    rows: Int64[Tensor, "batch centres members"]
    offsets: Float[Tensor, "batch centres members 3"]


class Places:
    """Places of every cloud, of which the first `counts` are real."""

    def __init__(self, positions: Float[Tensor, "batch places 3"], counts: Int64[Tensor, " batch"]) -> None:
        self.positions = positions
        self.counts = counts
        self._picked: dict[int, Centres] = {}

    def picked(self, num_centres: int) -> "Centres":
        """So many of the places, in farthest-point order from the first row on."""
        if num_centres not in self._picked:
            self._picked[num_centres] = self._pick(num_centres)
        return self._picked[num_centres]

    @cached_property
    def whole(self) -> "Coarser":
        """One place, the mean of these, which must all be real."""
        return Coarser(self, self.positions.mean(1, keepdim=True))

    def _pick(self, num_centres: int) -> "Centres":
        return Centres(self, farthest_point_sample(self.positions, num_centres, self.counts))


class Coarser(Places):
    """As many places in every cloud, which stand for the more numerous ones of `finer`."""

    def __init__(self, finer: Places, positions: Float[Tensor, "batch places 3"]) -> None:
        super().__init__(positions, torch.full_like(finer.counts, positions.shape[1]))
        self.finer = finer.positions, finer.counts  # not what holds them: a cycle would outlive the batch

    @cached_property
    def back(self) -> Interpolation:
        """The way of features back to the finer places; what their padding gets means nothing."""
        positions, _ = self.finer
        return Interpolation.between(positions, self.positions)


class Centres(Coarser):
    """Some of the places of `finer`, its `rows`, with what lies around them there."""

    def __init__(self, finer: Places, rows: Int64[Tensor, "batch centres"]) -> None:
        super().__init__(finer, gather_points(finer.positions, rows))
        self.rows = rows
        self._balls: dict[tuple[float, int], Ball] = {}
        self._nearest: dict[int, Int64[Tensor, "batch centres neighbours"]] = {}

    def balls(self, radius: float, num_neighbours: int) -> Ball:
        """The ball of this radius around each centre, as `ball_neighbours` finds it."""
        if (radius, num_neighbours) not in self._balls:
            positions, counts = self.finer
            rows = ball_neighbours(positions, self.rows, radius, num_neighbours, counts)
            offsets = gather_points(positions, rows) - self.positions.unsqueeze(2)
            self._balls[radius, num_neighbours] = Ball(rows, offsets)
        return self._balls[radius, num_neighbours]

    def nearest(self, num_neighbours: int) -> Int64[Tensor, "batch centres neighbours"]:
        """The rows nearest to each centre."""
        if num_neighbours not in self._nearest:
            positions, counts = self.finer
            _, rows = nearest_neighbours(self.positions, positions, num_neighbours, counts)
            self._nearest[num_neighbours] = rows
        return self._nearest[num_neighbours]

    def _pick(self, num_centres: int) -> "Centres":
        """The first ones: a farthest-point order is one for each of its beginnings too."""
        rows = torch.arange(num_centres, device=self.rows.device)
        return Centres(self, rows.expand(len(self.rows), -1))
