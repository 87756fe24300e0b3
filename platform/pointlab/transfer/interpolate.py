"""Weight-space ensembles of two models, in the convention 0 = pretrained, 1 = fine-tuned.

WiSE-FT (Wortsman et al., "Robust fine-tuning of zero-shot models", eq. 1): each parameter is
`(1 - coefficient) * pretrained + coefficient * fine_tuned`.
"""

from collections.abc import Mapping

import torch
from torch import Tensor

from pointlab.errors import TransferError

Weights = Mapping[str, Tensor]


def interpolate(pretrained: Weights, fine_tuned: Weights, coefficient: float) -> dict[str, Tensor]:
    """Mixture of two state dicts of equal keys, shapes and types.

    Integer buffers (counters) are copied from `fine_tuned`. The end points come out exactly. Running
    statistics are mixed like weights, which does not make them right: see `batch_norm`.

    Raises TransferError where the two do not agree, naming the entries.
    """
    _check_agreement(pretrained, fine_tuned)
    return {
        name: torch.lerp(pretrained[name], fine_tuned[name], coefficient)
        if fine_tuned[name].is_floating_point()
        else fine_tuned[name].clone()
        for name in fine_tuned
    }


def _check_agreement(pretrained: Weights, fine_tuned: Weights) -> None:
    problems = [f"{name} is in one of them only" for name in pretrained.keys() ^ fine_tuned.keys()]
    for name in pretrained.keys() & fine_tuned.keys():
        one, other = pretrained[name], fine_tuned[name]
        if one.shape != other.shape or one.dtype != other.dtype:
            problems.append(
                f"{name} is {one.dtype} {tuple(one.shape)} and {other.dtype} {tuple(other.shape)}"
            )
    if problems:
        raise TransferError(
            f"The two models cannot be mixed: {'; '.join(sorted(problems)[:5])}.",
            expected="equal keys, shapes and types",
            remedy="mix the backbones only, and probe again: a new head has no pretrained counterpart",
        )
