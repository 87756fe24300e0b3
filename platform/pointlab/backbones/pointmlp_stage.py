"""One stage of PointMLP: groups of features at one scale, residual layers before and after their maximum.

Ma et al., "Rethinking Network Design and Local Geometry in Point Cloud", ICLR 2022, sections 3.1 and 3.2.
"""

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int64
from torch import Tensor, nn

from pointlab.backbones.pointwise import PointwiseLayer, RowNorm, Rows
from pointlab.backbones.precision import exact_products, wide
from pointlab.geometry import gather_points

SMALLEST_SPREAD = 1e-5
"""Added to the standard deviation, as in the paper."""


class GroupStage(nn.Module):
    """Features of centres from those of the points around them.

    A member j of the group around centre i enters as [α(f_j - f_i) / (σ + ε) + β, f_i]: the paper's geometric
    affine module, with α and β learned for each channel. A layer to `num_outputs` channels and residual
    blocks follow for each member, then the maximum over the group, then residual blocks for each centre.

    σ is the standard deviation of all offsets f_j - f_i of a cloud, as in the paper (equation 3) and in the
    released segmentation network. The released classifiers take it over all clouds of the batch, so that
    what they say of a cloud depends on the others, in evaluation too; that is not repeated here.
    """

    def __init__(
        self, num_inputs: int, num_outputs: int, num_pre_blocks: int, num_pos_blocks: int, bottleneck: float
    ) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(num_inputs))
        self.shift = nn.Parameter(torch.zeros(num_inputs))
        self.transfer = PointwiseLayer(2 * num_inputs, num_outputs, bias=False)
        hidden = int(bottleneck * num_outputs)
        self.pre_blocks = nn.Sequential(*(ResidualBlock(num_outputs, hidden) for _ in range(num_pre_blocks)))
        self.pos_blocks = nn.Sequential(*(ResidualBlock(num_outputs, hidden) for _ in range(num_pos_blocks)))

    def forward(
        self,
        features: Float[Tensor, "batch points inputs"],
        centres: Float[Tensor, "batch centres inputs"],
        members: Int64[Tensor, "batch centres neighbours"],
    ) -> Float[Tensor, "batch centres outputs"]:
        """What each centre becomes; `members` are the rows of its group among the points."""
        with exact_products(features.device):
            products = self._products(wide(features), wide(centres), members)
        rows = self.transfer.after_product(products.flatten(0, 2))
        rows = self.pre_blocks(rows).view(products.shape).max(2).values
        refined: Tensor = self.pos_blocks(rows.flatten(0, 1))
        return refined.view(rows.shape)

    def _products(
        self,
        features: Float[Tensor, "batch points inputs"],
        centres: Float[Tensor, "batch centres inputs"],
        members: Int64[Tensor, "batch centres neighbours"],
    ) -> Float[Tensor, "batch centres neighbours outputs"]:
        """The layer's matrix W = [U, V] times every normalised member.

        With A = U diag(α) / (σ + ε) that is A f_j - A f_i + Uβ + V f_i: products for points and centres take
        the place of one for every member, which is two to four times as fast. They are formed in float32
        (`precision.py`): where a cloud is one place repeated, σ is 0, and 1 / ε is beyond float16.
        """
        to_offset, to_centre = self.transfer.linear.weight.chunk(2, dim=1)
        spread = offset_deviation(features, centres, members) + SMALLEST_SPREAD
        scaled = to_offset * self.scale
        of_points = F.linear(features, scaled) / spread
        of_centres = F.linear(centres, to_centre, F.linear(self.shift, to_offset))
        of_centres = of_centres - F.linear(centres, scaled) / spread
        return gather_points(of_points, members) + of_centres.unsqueeze(2)


def offset_deviation(
    features: Float[Tensor, "batch points inputs"],
    centres: Float[Tensor, "batch centres inputs"],
    members: Int64[Tensor, "batch centres neighbours"],
) -> Float[Tensor, "batch 1 1"]:
    """The standard deviation of all offsets from centres to members of each cloud, over all channels alike.

    About their mean and with one degree of freedom less, as in the released code.
    """
    offsets = gather_points(features, members) - centres.unsqueeze(2)
    return offsets.flatten(1).std(1).view(-1, 1, 1)


class ResidualBlock(nn.Module):
    """ReLU(x + BN(linear(layer(x)))) with `num_hidden` channels in between; no biases."""

    def __init__(self, width: int, num_hidden: int) -> None:
        super().__init__()
        self.inner = PointwiseLayer(width, num_hidden, bias=False)
        self.linear = nn.Linear(num_hidden, width, bias=False)
        self.norm = RowNorm(width)

    def forward(self, rows: Rows) -> Rows:
        """Every row through the block."""
        return F.relu(rows + self.norm(self.linear(self.inner(rows))))
