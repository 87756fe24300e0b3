"""Contrast within a batch: clouds of one text are known to belong together among all others.

Qi et al., "Contrast with Reconstruct: Contrastive 3D Representation Learning Guided by Generative
Pretraining", ICML 2023: the optional loss on the class query, in the form of the released code.
"""

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int64
from torch import Tensor, nn

from pointlab.objectives.hypersphere import unit_length

WIDTH = 128
"""Where clouds are compared, as in the released code."""


def projection(num_inputs: int, num_outputs: int) -> nn.Linear:
    """A layer behind a query that begins as in the released code: weights around 0.02, no bias yet."""
    layer = nn.Linear(num_inputs, num_outputs)
    nn.init.normal_(layer.weight, mean=0.02, std=0.01)
    nn.init.zeros_(layer.bias)
    return layer


class ClassProjection(nn.Sequential):
    """Two linear layers, each with BatchNorm behind it, and ReLU in between; as in the released code."""

    def __init__(self, num_inputs: int, width: int = WIDTH) -> None:
        super().__init__(
            projection(num_inputs, width),
            nn.BatchNorm1d(width),
            nn.ReLU(),
            projection(width, width),
            nn.BatchNorm1d(width),
        )


def self_contrast(
    features: Float[Tensor, "batch width"], groups: Int64[Tensor, " batch"], temperature: float
) -> Float[Tensor, ""]:
    """The mean over clouds of the cross-entropy of one positive score against those of all negatives.

    Scores are cosines over the temperature. The positive one of a cloud is the mean over the clouds of its
    group, itself among them; its negatives are all others of the batch. A cloud of group -1 is alone. A cloud
    without negatives counts as zero.
    """
    with torch.autocast(features.device.type, enabled=False):
        rows = unit_length(features)
        scores = rows @ rows.T / temperature
    is_own = (groups.unsqueeze(1) == groups) & (groups >= 0).unsqueeze(1)
    is_own = is_own | torch.eye(len(groups), dtype=torch.bool, device=groups.device)
    positive = (scores * is_own).sum(1, keepdim=True) / is_own.sum(1, keepdim=True)
    logits = torch.cat([positive, scores.masked_fill(is_own, -torch.inf)], dim=1)
    return F.cross_entropy(logits, torch.zeros_like(groups))
