"""Patches: a cloud cut into small overlapping neighbourhoods, and the network that makes tokens of them.

First step of the patch transformer, equal in Point-BERT (Yu et al., CVPR 2022, section 3.1), Point-MAE
(Pang et al., ECCV 2022, section 3.1) and ACT (Dong et al., ICLR 2023).
"""

from dataclasses import dataclass

import torch.nn.functional as F
from jaxtyping import Float, Int64
from torch import Tensor, nn

from pointlab.geometry import farthest_point_sample, gather_points, nearest_neighbours


@dataclass(frozen=True)
class Patches:
    """Neighbourhoods of a cloud: `centres`, the members relative to them, and their rows in the cloud."""

    centres: Float[Tensor, "batch groups 3"]
    neighbourhoods: Float[Tensor, "batch groups members 3"]
    indices: Int64[Tensor, "batch groups members"]


def group_patches(
    points: Float[Tensor, "batch points 3"],
    counts: Int64[Tensor, " batch"],
    *,
    num_groups: int,
    group_size: int,
    skip_near_origin: bool = False,
) -> Patches:
    """`num_groups` patches of each cloud: spread-out centres, each with its `group_size` nearest points.

    A centre is a member of its own patch. Patches overlap, and are neither cut at a radius nor scaled.
    `skip_near_origin` passes on to the sampling of centres, for parity with the papers' CUDA kernel.
    """
    chosen = farthest_point_sample(points, num_groups, counts, skip_near_origin=skip_near_origin)
    centres = gather_points(points, chosen)
    _, indices = nearest_neighbours(centres, points, group_size, counts)
    return Patches(centres, gather_points(points, indices) - centres[:, :, None], indices)


class PatchEmbedder(nn.Module):
    """A mini-PointNet: one token per patch, whatever the order of its members.

    Kernel-1 convolutions over the members: 3 → widths[0] → widths[1], the maximum over the patch joined to
    each member, then 2·widths[1] → widths[2] → `width`, and again the maximum. Batch normalisation runs
    over all members of all patches of the batch.
    """

    def __init__(self, widths: tuple[int, int, int], width: int) -> None:
        super().__init__()
        first, second, third = widths
        self.local = nn.Sequential(
            nn.Conv1d(3, first, 1), nn.BatchNorm1d(first), nn.ReLU(), nn.Conv1d(first, second, 1)
        )
        self.mix = nn.Conv1d(2 * second, third, 1)
        self.final = nn.Sequential(nn.BatchNorm1d(third), nn.ReLU(), nn.Conv1d(third, width, 1))

    def forward(
        self, neighbourhoods: Float[Tensor, "batch groups members 3"]
    ) -> Float[Tensor, "batch groups width"]:
        """A token for each patch, from members relative to their centre."""
        batch, groups = neighbourhoods.shape[:2]
        members = neighbourhoods.flatten(0, 1).transpose(1, 2)  # (batch·groups, 3, members)
        tokens: Tensor = self.final(self._join_global(self.local(members))).amax(2)
        return tokens.view(batch, groups, -1)

    def _join_global(
        self, local: Float[Tensor, "patches second members"]
    ) -> Float[Tensor, "patches third members"]:
        """`mix` applied to [maximum over the patch, member], without building that concatenation.

        The maximum is the same for every member of a patch, so its half of the product is computed once
        per patch: that saves a quarter of the embedder's arithmetic.
        """
        weight, width = self.mix.weight, local.shape[1]
        maximum = F.linear(local.amax(2), weight[:, :width, 0], self.mix.bias)
        return F.conv1d(local, weight[:, width:]) + maximum[:, :, None]
