"""Linear CKA between the features of any two stages: 1 where one is a rotated and scaled copy of the other.

With Gram matrices K and L of two stages over the same clouds, CKA = HSIC(K, L) / sqrt(HSIC(K, K) HSIC(L, L))
(Kornblith et al., "Similarity of Neural Network Representations Revisited", ICML 2019, equation 2).

* biased: HSIC(K, L) = tr(K' L') of centred features, over the whole set. It depends on the number of clouds:
  features with more channels than clouds look alike whatever they hold.
* unbiased: sums over mini-batches of the estimator HSIC_1 (Song et al., JMLR 2012, equation 5), as in Nguyen
  et al., ICLR 2021, equation 3. With the diagonals of K and L set to zero and n clouds,

    HSIC_1 = [tr(KL) + 1ᵀK1 1ᵀL1 / ((n-1)(n-2)) - 2 1ᵀKL1 / (n-2)] / (n (n-3))

All Gram matrices of a mini-batch lie in one array, which is filled in place as it is the largest of an
analysis, so that every pair of stages comes from one matrix product.
"""

from collections.abc import Sequence
from typing import Literal

import torch
from jaxtyping import Float, Float64
from torch import Tensor

from pointlab.analysis.centring import less_their_mean

Grams = Float64[Tensor, "stages rows clouds"]


def centred_kernel_alignment(
    features: Sequence[Float[Tensor, "clouds _"]],
    estimator: Literal["unbiased", "biased"],
    num_together: int,
) -> Float64[Tensor, "stages stages"]:
    """CKA of all pairs; NaN for features that do not vary.

    `num_together` clouds make a mini-batch of the unbiased estimator, or up to twice as many: none are left
    out. The biased one is computed in strips of as many rows. At least 4 clouds are needed.
    """
    num_clouds = len(features[0])
    products = torch.zeros(len(features), len(features), dtype=torch.float64)
    for part in torch.arange(num_clouds).tensor_split(num_parts(num_clouds, num_together)):
        num_columns = len(part) if estimator == "unbiased" else num_clouds
        grams = torch.empty(len(features), len(part), num_columns, dtype=torch.float64)
        for gram, matrix in zip(grams, features, strict=True):
            centred = less_their_mean(matrix)
            torch.mm(centred[part], (centred[part] if estimator == "unbiased" else centred).T, out=gram)
        products += unbiased_products(grams) if estimator == "unbiased" else _traces(grams)
    norms = products.diagonal().sqrt()
    return torch.where(norms.outer(norms) > 0, products / norms.outer(norms), torch.nan)


def num_parts(num_clouds: int, num_together: int) -> int:
    """Mini-batches, or strips, that so many clouds make."""
    return max(1, num_clouds // num_together)


def unbiased_products(grams: Grams) -> Float64[Tensor, "stages stages"]:
    """HSIC_1 of all pairs of these Gram matrices [stages, n, n], n at least 4; it clears their diagonals."""
    n = grams.shape[1]
    assert n >= 4, "the estimator divides by n - 3"
    grams.diagonal(dim1=1, dim2=2).zero_()
    rows = grams.sum(2)
    sums = rows.sum(1)
    joint = sums.outer(sums) / ((n - 1) * (n - 2)) - 2 * rows @ rows.T / (n - 2)
    return (_traces(grams) + joint) / (n * (n - 3))


def _traces(grams: Grams) -> Float64[Tensor, "stages stages"]:
    """tr(KLᵀ) of all pairs: the sum over the products of equal entries."""
    entries = grams.flatten(1)
    return entries @ entries.T
