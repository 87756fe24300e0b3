"""The feature of a cloud after a stage, the same for every backbone: maximum and mean over its tokens."""

import torch
from jaxtyping import Float, Float64, Int64
from torch import Tensor

from pointlab.geometry import real_rows


def stage_feature(
    tokens: Float[Tensor, "batch tokens width"], counts: Int64[Tensor, " batch"] | None
) -> Float[Tensor, "batch features"]:
    """The maximum and the mean over the tokens of each cloud, side by side; a single token is the feature.

    `counts` says how many tokens are real, None that all are: tokens of a stage whose tokens are points are
    padded like the points.
    """
    if tokens.shape[1] == 1:
        return tokens.squeeze(1)
    if counts is None:
        return torch.cat([tokens.amax(1), tokens.mean(1)], dim=1)
    is_real = real_rows(tokens, counts).unsqueeze(2)
    maximum = tokens.masked_fill(~is_real, -torch.inf).amax(1)
    mean = tokens.masked_fill(~is_real, 0).sum(1) / counts.unsqueeze(1)
    return torch.cat([maximum, mean], dim=1)


def less_their_mean(features: Float[Tensor, "clouds features"]) -> Float64[Tensor, "clouds features"]:
    """The features centred; exact zeros where they vary by no more than the rounding of float32.

    A collapsed stage is thereby seen as what it is, and nothing is made of its rounding errors.
    """
    centred = features.double() - features.double().mean(0)
    is_collapsed = centred.abs().max() <= 1e-6 * features.abs().max()
    return torch.zeros_like(centred) if is_collapsed else centred
