"""Features without their mean, from which ranks, similarities and drawings begin."""

import torch
from jaxtyping import Float, Float64
from torch import Tensor


def less_their_mean(features: Float[Tensor, "clouds features"]) -> Float64[Tensor, "clouds features"]:
    """The features centred; exact zeros where they vary by no more than the rounding of float32.

    A collapsed stage is thereby seen as what it is, and nothing is made of its rounding errors.
    """
    centred = features.double() - features.double().mean(0)
    is_collapsed = centred.abs().max() <= 1e-6 * features.abs().max()
    return torch.zeros_like(centred) if is_collapsed else centred
