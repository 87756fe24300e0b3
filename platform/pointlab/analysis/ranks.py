"""How many directions features use: RankMe and the effective rank, two exponentials of an entropy.

With s the singular values of a feature matrix [clouds, features] and p = s / (s_1 + ... + s_n):

    RankMe          exp(-sum of q log q),  q = p + 1e-7,  features as they are
    effective rank  exp(-sum of p log p),                 features less their mean

RankMe: Garrido et al., ICML 2023, section 3, equation 1. Effective rank: Roy and Vetterli, EUSIPCO 2007,
definition 1, for any matrix; without centring, the mean would count as one direction of great weight, and
the two figures would hardly differ. Both lie between 1 and the smaller side of the matrix.
"""

import torch
from jaxtyping import Float, Float64
from torch import Tensor

from pointlab.analysis.centring import less_their_mean

RANKME_OFFSET = 1e-7
"""Added to the shares so that their logarithms exist (Garrido et al.)."""


def rank_me(features: Float[Tensor, "clouds features"]) -> float:
    """RankMe of raw features."""
    shares = _shares(features.double()) + RANKME_OFFSET
    return float(torch.special.entr(shares).sum().exp())


def effective_rank(features: Float[Tensor, "clouds features"]) -> float:
    """Effective rank of centred features; 1 where they do not vary."""
    return float(torch.special.entr(_shares(less_their_mean(features))).sum().exp())


def _shares(matrix: Float64[Tensor, "clouds features"]) -> Float64[Tensor, " values"]:
    """The singular values divided by their sum; zeros for a zero matrix."""
    values: Tensor = torch.linalg.svdvals(matrix)
    return values / values.sum().clamp_min(torch.finfo(values.dtype).tiny)
