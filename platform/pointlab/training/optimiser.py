"""AdamW or SGD with the papers' weight-decay rule and learning rates by depth and for the head; warm-up
and cosine.

The learning rate is a function of the step alone, so a resumed run needs no scheduler state.
"""

import math

import torch
from torch import nn

from pointlab.errors import ConfigError
from pointlab.paradigms import Paradigm, Trainable
from pointlab.training.settings import OptimiserConfig, TrainingConfig

RELEASED_START = 1e-6
"""Where the warm-up of Point-MAE's, ACT's and ReCon's released code begins, whatever its minimum."""


def decays(name: str, parameter: nn.Parameter) -> bool:
    """Whether weight decay applies: not to biases, one-dimensional parameters or tokens (Point-MAE).

    A token is called so at the end of its own name or of a table's that holds it: a `token_embedding` is a
    layer's weight like any other.
    """
    is_token = any(part.endswith(("token", "tokens")) for part in name.split("."))
    return not (parameter.ndim <= 1 or name.endswith(".bias") or is_token)


def depth_scales(paradigm: Trainable, layer_decay: float) -> dict[nn.Parameter, float]:
    """Learning-rate factor of each backbone parameter: `layer_decay` to its distance from the head.

    The stage that heads read is at distance 1, the one below at 2; those beyond it, a decoder's, at 0.
    """
    if not isinstance(paradigm, Paradigm):
        return {}
    backbone = paradigm.backbone
    top = 1 + backbone.stages.index(backbone.pooled_stage)
    return {
        parameter: layer_decay ** max(0, top - depth)
        for depth, (_, members) in enumerate(backbone.parameters_by_depth())
        for _, parameter in members
    }


def head_scales(paradigm: Trainable, factor: float) -> dict[nn.Parameter, float]:
    """Learning-rate factor of each parameter of the head; ConfigError where there is none to learn faster."""
    found = dict.fromkeys(paradigm.head_parameters(), factor)
    if factor != 1 and not found:
        raise ConfigError(
            f"training.optimiser.head_learning_rate_factor is {factor:g}, and {type(paradigm).__name__} has"
            " no head apart from the rest.",
            remedy="leave it out, or set it where classes of clouds are learned, as in a transfer",
        )
    return found


def build_optimiser(paradigm: Trainable, config: OptimiserConfig) -> torch.optim.Optimizer:
    """Over the trainable parameters, grouped by decay, depth and head; groups carry their `scale`.

    Raises ConfigError where the head is to learn faster and there is none.
    """
    by_depth = depth_scales(paradigm, config.layer_decay)
    of_head = head_scales(paradigm, config.head_learning_rate_factor)
    groups: dict[tuple[bool, float], list[nn.Parameter]] = {}
    for name, parameter in paradigm.named_parameters():
        if parameter.requires_grad:
            scale = by_depth.get(parameter, 1.0) * of_head.get(parameter, 1.0)
            groups.setdefault((decays(name, parameter), scale), []).append(parameter)
    described = [
        {"params": members, "weight_decay": config.weight_decay if decay else 0.0, "scale": scale}
        for (decay, scale), members in groups.items()
    ]
    if config.kind == "sgd":
        return torch.optim.SGD(described, lr=config.learning_rate, momentum=config.momentum)
    # On the CPU one pass over all arrays of a parameter takes a third of the time; CUDA has its own default.
    is_on_cpu = all(parameter.device.type == "cpu" for parameter in paradigm.parameters())
    fused = True if is_on_cpu else None
    return torch.optim.AdamW(described, lr=config.learning_rate, betas=config.betas, fused=fused)


def learning_rate(step: int, num_steps: int, steps_per_epoch: float, config: TrainingConfig) -> float:
    """Of one step of `num_steps`, by the schedule that `config` names."""
    if config.schedule == "released":
        return _released(step, num_steps, steps_per_epoch, config)
    return _smooth(step, num_steps, steps_per_epoch, config)


def _smooth(step: int, num_steps: int, steps_per_epoch: float, config: TrainingConfig) -> float:
    """Linear warm-up to the base rate, then a cosine to the minimum, which the last step nearly reaches."""
    base, low = config.optimiser.learning_rate, config.minimum_learning_rate
    warmup = config.warmup_epochs * steps_per_epoch
    if step < warmup:
        return low + (base - low) * (step + 1) / max(warmup, 1)
    return _half_cosine((step - warmup) / max(num_steps - warmup, 1), base, low)


def _released(step: int, num_steps: int, steps_per_epoch: float, config: TrainingConfig) -> float:
    """One rate for each epoch e, that of time t = max(e - 1, 0), as the scheduler moves on after an epoch.

    The warm-up rises from 1e-6, and is no part of the cosine, which at its end has already begun. Of E
    epochs the cosine spans E - 1, as the released loops run from 0 to 300.
    """
    base, low = config.optimiser.learning_rate, config.minimum_learning_rate
    time = max(_epoch_of(step, steps_per_epoch) - 1, 0)
    if time < config.warmup_epochs:
        start = min(RELEASED_START, base)
        return start + time * (base - start) / config.warmup_epochs
    span = num_steps / steps_per_epoch - 1
    return _half_cosine(time / span, base, low) if time < span else low


def _epoch_of(step: int, steps_per_epoch: float) -> int:
    """The epoch in which `step` begins; quotients a rounding below a whole number count as that."""
    return math.floor(step / steps_per_epoch + 1e-9)


def _half_cosine(progress: float, base: float, low: float) -> float:
    return low + (base - low) * 0.5 * (1 + math.cos(math.pi * progress))


def set_learning_rate(optimiser: torch.optim.Optimizer, rate: float) -> None:
    """Give every group `rate` times its scale."""
    for group in optimiser.param_groups:
        group["lr"] = rate * group["scale"]
