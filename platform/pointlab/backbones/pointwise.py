"""Layers that treat every point alike, over the real rows of a padded batch only.

PointNet, DGCNN and PointMLP run kernel-1 convolutions with batch normalisation over all points of a batch.
Padding must not enter those statistics, so the rows that belong to clouds are packed one after the other,
[rows, channels], and unpacked where clouds matter again. In a batch without padding both are views.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int64
from torch import Tensor, nn

from pointlab.errors import DataError
from pointlab.geometry import real_rows

Rows = Float[Tensor, "rows _"]


@dataclass(frozen=True)
class Packing:
    """Which rows of a dense batch [batch, points, ...] are real; `at` is None where all of them are."""

    counts: Int64[Tensor, " batch"]
    num_points: int
    at: Int64[Tensor, " rows"] | None

    @classmethod
    def of(cls, points: Float[Tensor, "batch points 3"], counts: Int64[Tensor, " batch"]) -> "Packing":
        """The packing of a batch."""
        if bool((counts == points.shape[1]).all()):
            return cls(counts, points.shape[1], None)
        return cls(counts, points.shape[1], real_rows(points, counts).flatten().nonzero().squeeze(1))

    def pack(self, dense: Float[Tensor, "batch points channels"]) -> Rows:
        """The real rows, cloud by cloud."""
        rows = dense.flatten(0, 1)
        return rows if self.at is None else rows.index_select(0, self.at)

    def unpack(self, rows: Rows, padding: float = 0.0) -> Float[Tensor, "batch points channels"]:
        """The rows at their places in a dense batch, whose other rows are `padding`."""
        shape = (len(self.counts), self.num_points, rows.shape[1])
        if self.at is None:
            return rows.view(shape)
        dense = rows.new_full((shape[0] * shape[1], shape[2]), padding)
        return dense.index_copy(0, self.at, rows).view(shape)

    def maximum(self, rows: Rows) -> Float[Tensor, "batch channels"]:
        """The maximum over the rows of each cloud."""
        return self.unpack(rows, -torch.inf).amax(1)

    def mean(self, rows: Rows) -> Float[Tensor, "batch channels"]:
        """The mean over the rows of each cloud."""
        return self.unpack(rows).sum(1) / self.counts.unsqueeze(1)

    def spread(self, of_clouds: Float[Tensor, "batch channels"]) -> Rows:
        """What is known of each cloud, once for each of its rows."""
        if self.at is None:
            return of_clouds.repeat_interleave(self.num_points, dim=0)
        return of_clouds.index_select(0, self.at // self.num_points)


class RowNorm(nn.BatchNorm2d):
    """Batch normalisation of packed rows, over all of them.

    The rows are shown to it as one picture in the channels-last layout, the same memory: backwards it is
    then nearly twice as fast on the CPU as `BatchNorm1d`. Parameters and buffers are those of any BatchNorm.
    """

    def forward(self, input: Rows) -> Rows:
        """The rows normalised in each channel; DataError for a single one while training."""
        self.require_several(len(input))
        picture = input.view(1, len(input), 1, input.shape[1]).permute(0, 3, 1, 2)
        return super().forward(picture).permute(0, 2, 3, 1).view(input.shape)

    def require_several(self, num_rows: int) -> None:
        """DataError for a single row while training: one value does not vary."""
        if num_rows == 1 and self.training:
            raise DataError(
                "All points of a micro-batch are one row for a layer of the backbone, such as one cell of the"
                " coarsest level of a sparse network.",
                expected="two rows or more, as batch normalisation in training compares them",
                remedy="raise training.batch_size, lower training.accumulation, show larger parts of the"
                " clouds, or lower voxel_size of a sparse backbone",
            )


class PointwiseLayer(nn.Module):
    """Linear, batch normalisation, activation: what the papers write as a kernel-1 convolution."""

    def __init__(
        self,
        num_inputs: int,
        num_outputs: int,
        *,
        bias: bool = True,
        activation: Callable[[Tensor], Tensor] = F.relu,
    ) -> None:
        super().__init__()
        self.linear = nn.Linear(num_inputs, num_outputs, bias=bias)
        self.norm = RowNorm(num_outputs)
        self.activation = activation

    def forward(self, rows: Rows) -> Rows:
        """Every row through the layer."""
        return self.after_product(self.linear(rows))

    def after_product(self, products: Rows) -> Rows:
        """The rest of the layer, for products that were formed in another way."""
        return self.activation(self.norm(products))


def pointwise_layers(num_inputs: int, widths: tuple[int, ...]) -> nn.Sequential:
    """Layers of these widths, one after the other."""
    inputs = (num_inputs, *widths[:-1])
    return nn.Sequential(*(PointwiseLayer(n, m) for n, m in zip(inputs, widths, strict=True)))
