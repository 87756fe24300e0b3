"""Patches: a cloud cut into small overlapping neighbourhoods, and the network that makes tokens of them.

First step of the patch transformer, equal in Point-BERT (Yu et al., CVPR 2022, section 3.1), Point-MAE
(Pang et al., ECCV 2022, section 3.1) and ACT (Dong et al., ICLR 2023).
"""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor, nn

from pointlab.backbones.maxima import maximal_product, maximum
from pointlab.backbones.pointwise import RowNorm
from pointlab.backbones.products import KernelOne, linear
from pointlab.geometry import farthest_point_sample, gather_points, nearest_neighbours


@dataclass(frozen=True)
class Patches:
    """Neighbourhoods of a cloud: `centres`, the members relative to them, and their rows in the cloud."""

    centres: Float[Tensor, "batch groups 3"]
    neighbourhoods: Float[Tensor, "batch groups members 3"]
    indices: Int64[Tensor, "batch groups members"]

    def at(self, rows: Int64[Tensor, "batch chosen"]) -> "Patches":
        """Some of the patches of each cloud."""
        return Patches(
            gather_points(self.centres, rows),
            gather_points(self.neighbourhoods.flatten(2), rows).unflatten(2, (-1, 3)),
            gather_points(self.indices, rows),
        )


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


def is_in_any(patches: Patches, num_points: int) -> Bool[Tensor, "batch points"]:
    """Which of the points of each cloud are members of a patch."""
    members = patches.indices.flatten(1)
    found = torch.zeros(len(members), num_points, dtype=torch.bool, device=members.device)
    return found.scatter_(1, members, True)


class PatchEmbedder(nn.Module):
    """A mini-PointNet: one token per patch, whatever the order of its members.

    Kernel-1 convolutions over the members: 3 → widths[0] → widths[1], the maximum over the patch joined to
    each member, then 2·widths[1] → widths[2] → `width`, and again the maximum. Batch normalisation runs
    over all members of all patches of the batch.
    """

    def __init__(self, widths: tuple[int, int, int], width: int) -> None:
        super().__init__()
        first, second, third = widths
        self.local = nn.Sequential(KernelOne(3, first), RowNorm(first), nn.ReLU(), KernelOne(first, second))
        self.mix = KernelOne(2 * second, third)
        self.final = nn.Sequential(RowNorm(third), nn.ReLU(), KernelOne(third, width))

    def forward(
        self,
        neighbourhoods: Float[Tensor, "batch groups members 3"],
        company: Float[Tensor, "batch others members 3"] | None = None,
    ) -> Float[Tensor, "batch groups width"]:
        """A token for each patch, from members relative to their centre.

        `company`: patches that batch normalisation sees as well while training, but whose tokens nobody
        wants: they are spared what follows it.
        """
        batch, groups, num_members, _ = neighbourhoods.shape
        patches = neighbourhoods.flatten(0, 1)
        if company is not None and self.training:
            patches = torch.cat([patches, company.flatten(0, 1)])
        norm, activation, last = self.final
        assert isinstance(last, KernelOne)
        mixed = norm(self._join_global(self.local(patches.flatten(0, 1)), num_members))
        wanted = activation(mixed[: batch * groups * num_members]).unflatten(0, (-1, num_members))
        tokens = maximal_product(wanted, last.matrix, last.bias)
        return tokens.view(batch, groups, -1)

    def _join_global(
        self, local: Float[Tensor, "rows second"], num_members: int
    ) -> Float[Tensor, "rows third"]:
        """`mix` applied to [maximum over the patch, member], without building that concatenation.

        The maximum is the same for every member of a patch, so its half of the product is computed once
        per patch: that saves a quarter of the embedder's arithmetic.
        """
        to_maximum, to_member = self.mix.matrix.chunk(2, dim=1)
        of_maximum = linear(maximum(local.unflatten(0, (-1, num_members))), to_maximum, self.mix.bias)
        of_members = linear(local, to_member).unflatten(0, (-1, num_members))
        mixed: Tensor = (of_members + of_maximum.unsqueeze(1)).flatten(0, 1)
        return mixed
