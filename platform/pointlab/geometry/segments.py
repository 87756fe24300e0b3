"""Sums over groups of rows, in an order that never changes: what makes sparse convolutions reproducible.

`index_add_` on the CPU is serial and ten times as slow; on a GPU it adds in whatever order threads arrive.
Here the rows of each group are listed one after the other, and one kernel adds them up in that order.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int32, Int64, Integer
from torch import Tensor


@dataclass(frozen=True)
class Segments:
    """Which rows belong to each group: those of `order` from each of `starts` to the next; perhaps none."""

    order: Int32[Tensor, " rows"]
    starts: Int32[Tensor, " groups"]

    @classmethod
    def of(cls, groups: Integer[Tensor, " rows"], num_groups: int) -> "Segments":
        """The groups of rows that each say theirs; within a group, rows ascend."""
        ascending, order = torch.sort(groups.int(), stable=True)
        numbers = torch.arange(num_groups, dtype=torch.int32, device=groups.device)
        return cls(order.int(), torch.searchsorted(ascending, numbers, out_int32=True))

    @property
    def sizes(self) -> Int64[Tensor, " groups"]:
        """How many rows each group has."""
        ends = torch.cat([self.starts[1:], self.starts.new_full((1,), len(self.order))])
        return (ends - self.starts).long()

    def sum(self, rows: Float[Tensor, "rows channels"]) -> Float[Tensor, "groups channels"]:
        """The sum over each group, zero where it has no rows; gradients do not pass."""
        if not len(self.order):
            return rows.new_zeros(len(self.starts), rows.shape[1])
        return F.embedding_bag(self.order, rows.detach(), self.starts, mode="sum")
