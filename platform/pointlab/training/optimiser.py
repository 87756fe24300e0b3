"""AdamW or SGD with the papers' weight-decay rule and a learning rate per stage of depth; warm-up and cosine.

The learning rate is a function of the step alone, so a resumed run needs no scheduler state.
"""

import math

import torch
from torch import nn

from pointlab.paradigms import Paradigm
from pointlab.training.settings import OptimiserConfig, TrainingConfig


def decays(name: str, parameter: nn.Parameter) -> bool:
    """Whether weight decay applies: not to biases, one-dimensional parameters or tokens (Point-MAE)."""
    return not (parameter.ndim <= 1 or name.endswith(".bias") or "token" in name)


def depth_scales(paradigm: Paradigm, layer_decay: float) -> dict[nn.Parameter, float]:
    """Learning-rate factor of each backbone parameter: `layer_decay` to its distance from the head.

    The stage that heads read is at distance 1, the one below at 2; those beyond it, a decoder's, at 0.
    """
    backbone = paradigm.backbone
    top = 1 + backbone.stages.index(backbone.pooled_stage)
    return {
        parameter: layer_decay ** max(0, top - depth)
        for depth, (_, members) in enumerate(backbone.parameters_by_depth())
        for _, parameter in members
    }


def build_optimiser(paradigm: Paradigm, config: OptimiserConfig) -> torch.optim.Optimizer:
    """Over the trainable parameters, grouped by decay and depth; groups carry their `scale`."""
    scales = depth_scales(paradigm, config.layer_decay)
    groups: dict[tuple[bool, float], list[nn.Parameter]] = {}
    for name, parameter in paradigm.named_parameters():
        if parameter.requires_grad:
            key = (decays(name, parameter), scales.get(parameter, 1.0))
            groups.setdefault(key, []).append(parameter)
    described = [
        {"params": members, "weight_decay": config.weight_decay if decay else 0.0, "scale": scale}
        for (decay, scale), members in groups.items()
    ]
    if config.kind == "sgd":
        return torch.optim.SGD(described, lr=config.learning_rate, momentum=config.momentum)
    return torch.optim.AdamW(described, lr=config.learning_rate, betas=config.betas)


def learning_rate(step: int, num_steps: int, steps_per_epoch: float, config: TrainingConfig) -> float:
    """Linear warm-up to the base rate, then a cosine to the minimum, which the last step nearly reaches."""
    base, low = (
        config.optimiser.learning_rate,
        min(config.minimum_learning_rate, config.optimiser.learning_rate),
    )
    warmup = min(config.warmup_epochs * steps_per_epoch, num_steps)
    if step < warmup:
        return low + (base - low) * (step + 1) / max(warmup, 1)
    progress = (step - warmup) / max(num_steps - warmup, 1)
    return low + (base - low) * 0.5 * (1 + math.cos(math.pi * progress))


def set_learning_rate(optimiser: torch.optim.Optimizer, rate: float) -> None:
    """Give every group `rate` times its scale."""
    for group in optimiser.param_groups:
        group["lr"] = rate * group["scale"]
