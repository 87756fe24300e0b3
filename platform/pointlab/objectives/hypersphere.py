"""Features on the unit sphere, where contrastive losses compare them, and how they lie there.

Alignment and uniformity: Wang and Isola, "Understanding Contrastive Representation Learning through Alignment
and Uniformity on the Hypersphere", ICML 2020, section 4.
"""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor


def unit_length(features: Float[Tensor, "*rows width"]) -> Float[Tensor, "*rows width"]:
    """`features` divided by their lengths, in float32 at least; zeros stay zeros."""
    return F.normalize(features.to(torch.promote_types(features.dtype, torch.float32)), dim=-1)


@torch.no_grad()
def alignment(first: Float[Tensor, "rows width"], second: Float[Tensor, "rows width"]) -> Float[Tensor, ""]:
    """The mean squared distance of two features that belong together, in [0, 4]; 0 where all agree."""
    return (first - second).square().sum(1).mean()


@torch.no_grad()
def uniformity(rows: Float[Tensor, "rows width"]) -> Float[Tensor, ""]:
    """The logarithm of the mean of exp(-2 d²) over all pairs: 0 where all rows are one point, down to -8.

    A single row has no pair; it counts as one point.
    """
    if len(rows) < 2:
        return rows.new_zeros(())
    return F.pdist(rows).square().mul(-2).exp().mean().log()
