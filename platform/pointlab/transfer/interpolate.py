"""Weight-space ensembles of two models, in the convention 0 = pretrained, 1 = fine-tuned.

WiSE-FT (Wortsman et al., "Robust fine-tuning of zero-shot models", eq. 1): each parameter is
`(1 - coefficient) * pretrained + coefficient * fine_tuned`.
"""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from pointlab.errors import TransferError

Weights = Mapping[str, Tensor]
Coefficient = float | Tensor
"""Of one entry: a number, or one for each of its values."""


def interpolate(
    pretrained: Weights, fine_tuned: Weights, coefficients: float | Mapping[str, Coefficient]
) -> dict[str, Tensor]:
    """Mixture of two state dicts of equal keys, shapes and types, by one coefficient or one for each entry.

    At the numbers 0 and 1 that end itself comes out, to the byte; in between integer buffers (counters) are
    those of `fine_tuned`. Running statistics are mixed like weights, which does not make them right: see
    `batch_norm`.

    Raises TransferError where the two do not agree, naming the entries.
    """
    require_agreement([pretrained, fine_tuned])
    if not isinstance(coefficients, Mapping):
        coefficients = dict.fromkeys(fine_tuned, coefficients)
    return {name: _mixed(pretrained[name], fine_tuned[name], coefficients[name]) for name in fine_tuned}


def _mixed(pretrained: Tensor, fine_tuned: Tensor, coefficient: Coefficient) -> Tensor:
    """One entry of a mixture."""
    if isinstance(coefficient, float | int) and coefficient in {0, 1}:
        return (fine_tuned if coefficient else pretrained).clone()  # the formula makes 0.0 of -0.0
    if not fine_tuned.is_floating_point():
        return fine_tuned.clone()
    return torch.lerp(pretrained, fine_tuned, coefficient)


def require_agreement(models: Sequence[Weights]) -> None:
    """TransferError that names the entries in which state dicts differ by key, shape or type."""
    problems = []
    for name in sorted(set().union(*models)):
        kinds = [f"{model[name].dtype} {tuple(model[name].shape)}" for model in models if name in model]
        if len(kinds) < len(models):
            problems.append(f"{name} is in {len(kinds)} of {len(models)} only")
        elif len(set(kinds)) > 1:
            problems.append(f"{name} is {' and '.join(dict.fromkeys(kinds))}")
    if problems:
        raise TransferError(
            f"The models cannot be mixed: {'; '.join(problems[:5])}.",
            expected="equal keys, shapes and types",
            remedy="mix the backbones only, and probe again: a new head has no pretrained counterpart",
        )
