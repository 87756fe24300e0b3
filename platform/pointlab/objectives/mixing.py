"""Point mixing: some points of a cloud give way to points of another one, and the label is mixed alike.

Zhang et al., "PointCutMix: Regularization Strategy for Point Cloud Classification", Neurocomputing 2022,
sections 3.2 and 3.3. There, the points that come in are those that an optimal assignment between both clouds
pairs with the ones that go, and a batch has one share. Here each cloud has a share of its own, and the
assignment, which costs more than a training step, is replaced by what it is for: random points give way
to random ones, a neighbourhood to the other cloud's points nearest to the same place.
"""

from dataclasses import dataclass, replace
from typing import Any, Literal

import torch
from jaxtyping import Bool, Float, Int64, Shaped
from pydantic import Field
from torch import Tensor

from pointlab.config import StrictModel
from pointlab.data.sample import PointBatch
from pointlab.data.shards import PER_POINT
from pointlab.geometry import gather_points, real_rows

FOLLOWING = (*PER_POINT, "rows")
"""What follows a point into another cloud, where a batch has it."""


class MixingConfig(StrictModel):
    """Whether and how clouds of a training batch are mixed in pairs."""

    kind: Literal["none", "random", "nearest"] = "none"
    """random: points anywhere (PointCutMix-R); nearest: those around a random point (PointCutMix-K)."""
    alpha: float = Field(default=1.0, gt=0)
    """A cloud keeps a share of its points drawn from Beta(alpha, alpha): any share alike, as in the paper."""
    probability: float = Field(default=0.5, gt=0, le=1)
    """How likely a cloud is mixed at all; one half, as in the paper's code."""


@dataclass(frozen=True)
class Mixture:
    """A mixed batch: cloud i keeps a share of its points, the others come from cloud `partners[i]`."""

    batch: PointBatch
    partners: Int64[Tensor, " batch"]
    shares: Float[Tensor, " batch"]

    def mean(self, own: Float[Tensor, " batch"], others: Float[Tensor, " batch"]) -> Float[Tensor, ""]:
        """The mean over clouds of a figure that each has by its own label and by its partner's."""
        return (self.shares * own + (1 - self.shares) * others).mean()


def mix_points(batch: PointBatch, config: MixingConfig) -> Mixture:
    """The batch mixed as `config` says, which must not be "none", with draws from torch's generator.

    Clouds keep their counts; a cloud loses at most as many points as its partner has. `shares` are true
    shares of points, after rounding. A cloud that is its own partner stays as it is.
    """
    partners, num_replaced = _draw_pairs(batch, config)
    order, order_in_partner = _orders_of_exchange(batch, partners, config)
    is_chosen = torch.arange(order.shape[1], device=order.device) < num_replaced.unsqueeze(1)
    is_replaced = torch.zeros_like(is_chosen).scatter(1, order, is_chosen)
    substitutes = torch.zeros_like(order).scatter(1, order, order_in_partner)
    present = {name: array for name in FOLLOWING if (array := getattr(batch, name)) is not None}
    mixed: dict[str, Any] = {
        name: _exchanged(array, array[partners], substitutes, is_replaced) for name, array in present.items()
    }
    return Mixture(replace(batch, **mixed), partners, 1 - num_replaced / batch.counts)


def _draw_pairs(
    batch: PointBatch, config: MixingConfig
) -> tuple[Int64[Tensor, " batch"], Int64[Tensor, " batch"]]:
    """The partner of every cloud, and how many of its points give way; drawn on the CPU, for any device."""
    size, counts = len(batch), batch.counts
    partners = torch.randperm(size)
    kept = torch.distributions.Beta(config.alpha, config.alpha).sample((size,))
    is_mixed = (torch.rand(size) < config.probability) & (partners != torch.arange(size))
    partners, lost = partners.to(counts.device), torch.where(is_mixed, 1 - kept, 0.0).to(counts.device)
    return partners, torch.minimum((lost * counts).round().long(), counts[partners])


def _orders_of_exchange(
    batch: PointBatch, partners: Int64[Tensor, " batch"], config: MixingConfig
) -> tuple[Int64[Tensor, "batch points"], Int64[Tensor, "batch points"]]:
    """In which order a cloud's points give way, and in which its partner's come in; padding comes last."""
    clouds = ((batch.points, batch.counts), (batch.points[partners], batch.counts[partners]))
    if config.kind == "random":
        keys = [torch.rand(points.shape[:2]).to(points.device) for points, _ in clouds]
    else:
        rows = (torch.rand(len(batch), dtype=torch.float64).to(batch.counts.device) * batch.counts).long()
        centres = gather_points(batch.points, rows.unsqueeze(1))
        keys = [(points - centres).square().sum(2) for points, _ in clouds]
    first, second = (
        key.masked_fill(~real_rows(points, counts), torch.inf).argsort(dim=1, stable=True)
        for key, (points, counts) in zip(keys, clouds, strict=True)
    )
    return first, second


def _exchanged(
    own: Shaped[Tensor, "batch points *channels"],
    others: Shaped[Tensor, "batch points *channels"],
    substitutes: Int64[Tensor, "batch points"],
    is_replaced: Bool[Tensor, "batch points"],
) -> Shaped[Tensor, "batch points *channels"]:
    """A per-point array, with the partner's rows `substitutes` where points were replaced."""
    if own.ndim == 2:
        return torch.where(is_replaced, others.gather(1, substitutes), own)
    return torch.where(is_replaced.unsqueeze(2), gather_points(others, substitutes), own)
