"""Mixing coefficients by depth: little of the fine-tuned model in early layers and much in late ones, say.

A mixture of two backbones (`interpolate`) takes one coefficient for every entry. Here every stage of the
backbone has its own, the linear interpolation between a few control values: the first of them belongs to the
first stage, the last to the one that heads read and to all beyond it, such as a decoder, and the others lie
evenly between. So few numbers describe a network of any depth, and a search can sample them.
"""

import numpy as np
import torch

from pointlab.backbones import Backbone, BackboneConfig, build_backbone
from pointlab.errors import TransferError


def require_stages(config: BackboneConfig, values: tuple[float, ...]) -> None:
    """ValueError where a backbone of this architecture has too few stages; no weight is made to tell."""
    with torch.device("meta"):
        backbone = build_backbone(config)
    try:
        coefficients_by_depth(backbone, values)
    except TransferError as error:
        raise ValueError(str(error)) from error


def coefficients_by_depth(backbone: Backbone, values: tuple[float, ...]) -> dict[str, float]:
    """The coefficient of every parameter and buffer of `backbone`, by its stage (`Backbone.stage_of`).

    Equal control `values` give exactly that value everywhere. Raises TransferError where there are more of
    them than stages that heads read, as not all would count.
    """
    stages = backbone.stages
    num_read = 1 + stages.index(backbone.pooled_stage)
    if len(values) > num_read:
        raise TransferError(
            f"There are {len(values)} coefficients by depth, but heads read a {type(backbone).__name__} after"
            f" {num_read} stage(s): {', '.join(stages[:num_read])}.",
            expected="at most one coefficient for each stage",
            remedy="shorten mixture.by_depth, or set mixture.coefficients instead",
        )
    places = np.linspace(0, num_read - 1, len(values))
    interpolated = np.interp(np.arange(len(stages)), places, values).tolist()  # beyond the last: its value
    of_stage: dict[str, float] = dict(zip(stages, interpolated, strict=True))
    return {name: of_stage[backbone.stage_of(name)] for name in backbone.state_dict()}
