"""Set abstraction and feature propagation: how PointNet++ goes to fewer places of a cloud, and back.

Qi et al., "PointNet++", NeurIPS 2017, sections 3.2 to 3.4. Set abstraction picks spread-out centres and
describes the ball around each by a small PointNet; with balls of several radii it is the paper's multi-scale
grouping (MSG). Feature propagation carries features to the denser places that they came from.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated

import torch
import torch.nn.functional as F
from jaxtyping import Float
from pydantic import Field, PositiveFloat, PositiveInt
from torch import Tensor, nn

from pointlab.backbones.pointwise import Packing, RowNorm, Rows, pointwise_layers
from pointlab.backbones.precision import exact_products, wide
from pointlab.config import StrictModel
from pointlab.geometry import Centres, Coarser, Places, gather_points

Widths = Annotated[tuple[PositiveInt, ...], Field(min_length=2)]
"""Channels of two or more layers."""


class BallConfig(StrictModel):
    """The neighbourhoods of one radius, and the PointNet that describes them."""

    radius: PositiveFloat
    """In the unit of the coordinates; the paper's clouds have radius 1."""
    num_neighbours: PositiveInt
    """Rows of a ball: of a fuller one the first rows are taken, in a sparser one the first is repeated."""
    widths: Widths
    """Channels of the layers that every neighbour passes; the maximum over the ball follows."""


class AbstractionConfig(StrictModel):
    """One set abstraction; several balls around each centre are the paper's multi-scale grouping."""

    num_centres: PositiveInt
    """How many places remain; no cloud may have fewer points."""
    balls: tuple[BallConfig, ...] = Field(min_length=1)
    """Features of all of them are joined."""


@dataclass(frozen=True)
class Level:
    """Places of every cloud, and what is known of them: at first nothing but where they are."""

    places: Places
    features: Float[Tensor, "batch places _"] | None


class JoiningLayer(nn.Module):
    """A pointwise layer over rows' own channels joined with features that are carried to them.

    Carrying, be it gathering or interpolation, is linear. So features are multiplied where they are, which is
    at fewer places (a sixteenth in the paper's second set abstraction), and the products are carried: a step
    of the whole network then takes a tenth less time on the CPU. Weights are those of the joined channels.
    Products are formed in float32 (`precision.py`).
    """

    def __init__(self, num_own: int, num_carried: int, num_outputs: int) -> None:
        super().__init__()
        self.num_own = num_own
        self.linear = nn.Linear(num_own + num_carried, num_outputs)
        self.norm = RowNorm(num_outputs)

    def forward(
        self,
        own: Rows,
        features: Float[Tensor, "batch places _"] | None,
        carry: Callable[[Float[Tensor, "batch places _"]], Rows],
    ) -> Rows:
        """Every row through the layer."""
        weight = self.linear.weight
        with exact_products(own.device):
            rows = F.linear(wide(own), weight[:, : self.num_own], self.linear.bias)
            if features is not None:
                rows = rows + carry(F.linear(wide(features), weight[:, self.num_own :]))
        return F.relu(self.norm(rows))


class BallNetwork(nn.Module):
    """A PointNet over the balls of one radius."""

    def __init__(self, num_inputs: int, config: BallConfig) -> None:
        super().__init__()
        self.config = config
        self.first = JoiningLayer(3, num_inputs, config.widths[0])
        self.rest = pointwise_layers(config.widths[0], config.widths[1:])

    def forward(self, level: Level, centres: Centres) -> Float[Tensor, "batch centres width"]:
        """A feature of the ball around each of `centres`, which are places of `level`.

        A neighbour is its coordinates relative to the centre, in no other unit, joined to its features.
        """
        ball = centres.balls(self.config.radius, self.config.num_neighbours)
        rows = self.first(
            ball.offsets.flatten(0, 2),
            level.features,
            lambda of: gather_points(of, ball.rows).flatten(0, 2),
        )
        return largest(self.rest(rows).view(*ball.rows.shape, -1))


class SetAbstraction(nn.Module):
    """From many places to `num_centres`, picked in farthest-point order from the first row on."""

    def __init__(self, num_inputs: int, config: AbstractionConfig) -> None:
        super().__init__()
        self.num_centres = config.num_centres
        self.balls = nn.ModuleList(BallNetwork(num_inputs, ball) for ball in config.balls)

    def forward(self, level: Level) -> Level:
        """The centres, each with the features of its balls side by side."""
        centres = level.places.picked(self.num_centres)
        return Level(centres, torch.cat([ball(level, centres) for ball in self.balls], dim=2))


class GlobalAbstraction(nn.Module):
    """From the places that are left to one, by a PointNet over all of them; all must be real.

    It sees coordinates as they are, as in the released code: where the cloud lies makes a difference.
    """

    def __init__(self, num_inputs: int, widths: Widths) -> None:
        super().__init__()
        self.layers = pointwise_layers(3 + num_inputs, widths)

    def forward(self, level: Level) -> Level:
        """One place, the mean of those before, with the feature of the whole cloud."""
        assert level.features is not None, "a set abstraction comes first"
        rows = torch.cat([level.places.positions, level.features], dim=2)
        tokens = self.layers(rows.flatten(0, 1)).view(len(rows), 1, rows.shape[1], -1)
        return Level(level.places.whole, largest(tokens))


class FeaturePropagation(nn.Module):
    """From few places back to the many that they were picked from."""

    def __init__(self, num_fine: int, num_coarse: int, widths: Widths) -> None:
        super().__init__()
        self.first = JoiningLayer(num_fine, num_coarse, widths[0])
        self.rest = pointwise_layers(widths[0], widths[1:])

    def forward(self, fine: Level, coarse: Level) -> Level:
        """The places of `fine`, whose features are joined to interpolated ones."""
        assert fine.features is not None, "what is skipped says something"
        assert isinstance(coarse.places, Coarser), "the way back is known where places were picked"
        packing, back = Packing.of(fine.places.positions, fine.places.counts), coarse.places.back
        own = packing.pack(fine.features)

        def carry(features: Float[Tensor, "batch places _"]) -> Rows:
            return packing.pack(back.carry(features))

        rows = self.rest(self.first(own, coarse.features, carry))
        return Level(fine.places, packing.unpack(rows))


def largest(
    members: Float[Tensor, "batch balls members width"],
) -> Float[Tensor, "batch balls width"]:
    """The maximum over the members of each ball; of equal ones the first gets the gradient.

    On the CPU three times as fast as `amax`, whose gradient is shared out among equals.
    """
    return members.max(dim=2).values
