"""Fisher-weighted mixtures: each weight is taken from the model whose answers depend on it more.

Matena and Raffel, "Merging Models with Fisher-Weighted Averaging", NeurIPS 2022, section 3, in the form of
the released code of WiSE-FT (Wortsman et al., "Robust fine-tuning of zero-shot models", CVPR 2022):

    c0 = (1 - a) * max(F0, 1e-8),  c1 = a * max(F1, 1e-8),
    weight = (c0 * pretrained + c1 * fine_tuned) / (c0 + c1).

F is the diagonal of a classifier's Fisher information: of a weight w, the mean over clouds x of

    F = sum over classes y of p(y | x) * (d log p(y | x) / dw)^2.

The expectation is over the model's own answers: labels are not read. It is exact, a backward pass for each
cloud and class: nothing is drawn, and no cloud counts for another in eval mode.
"""

import copy
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import fields, replace

import torch
from torch import Tensor, nn

from pointlab.backbones import Backbone
from pointlab.data.sample import PointBatch
from pointlab.errors import DataError
from pointlab.transfer.interpolate import Coefficient

FLOOR = 1e-8
"""Of the Fisher information, as in WiSE-FT's code: where both models have less, the mixture is plain."""
Information = Mapping[str, Tensor]
"""The diagonal, by the name of the parameter."""


def fisher_information(
    backbone: Backbone, head: nn.Module, batches: Iterable[PointBatch], device: torch.device
) -> dict[str, Tensor]:
    """The diagonal of every parameter of `backbone` below this head, in eval mode, on the CPU.

    Parameters that the pooled feature does not depend on have zeros. Neither network is changed. Raises
    DataError where there is no cloud.
    """
    backbone = copy.deepcopy(backbone).to(device).eval().requires_grad_(True)
    head = copy.deepcopy(head).to(device).eval()
    parameters = dict(backbone.named_parameters())
    sums = {name: torch.zeros_like(parameter) for name, parameter in parameters.items()}
    num_clouds = 0
    for cloud in _one_by_one(batches):
        num_clouds += 1
        for gradients in _gradients(backbone, head, cloud.to(device), tuple(parameters.values())):
            for total, gradient in zip(sums.values(), gradients, strict=True):
                if gradient is not None:
                    total.addcmul_(gradient, gradient)
    if not num_clouds:
        raise DataError("The Fisher information was asked of no cloud.", expected="training clouds")
    return {name: (total / num_clouds).detach().cpu() for name, total in sums.items()}


def fisher_coefficients(
    pretrained: Information, fine_tuned: Information, coefficients: Mapping[str, float]
) -> dict[str, Coefficient]:
    """c1 / (c0 + c1) for every entry, as `interpolate` takes it, from its plain coefficient.

    It is that coefficient itself at both ends, and for entries without Fisher information, such as buffers,
    as in WiSE-FT's code.
    """
    return {
        name: coefficient
        if coefficient in {0.0, 1.0} or name not in fine_tuned
        else _share(pretrained[name], fine_tuned[name], coefficient)
        for name, coefficient in coefficients.items()
    }


def _share(pretrained: Tensor, fine_tuned: Tensor, coefficient: float) -> Tensor:
    of_pretrained = (1 - coefficient) * pretrained.clamp_min(FLOOR)
    of_fine_tuned = coefficient * fine_tuned.clamp_min(FLOOR)
    return of_fine_tuned / (of_pretrained + of_fine_tuned)


def _gradients(
    backbone: Backbone, head: nn.Module, cloud: PointBatch, parameters: tuple[nn.Parameter, ...]
) -> Iterator[tuple[Tensor | None, ...]]:
    """For each class the gradient of its log-probability, times the root of its probability: squared, the
    term of the sum."""
    (scores,) = head(backbone(cloud).pooled).log_softmax(1)
    for score in scores:
        weighted = (score.detach() / 2).exp() * score
        yield torch.autograd.grad(weighted, parameters, retain_graph=True, allow_unused=True)


def _one_by_one(batches: Iterable[PointBatch]) -> Iterator[PointBatch]:
    """Every cloud as a batch of its own."""
    for batch in batches:
        held = {field.name: getattr(batch, field.name) for field in fields(batch)}
        tensors = {name: value for name, value in held.items() if isinstance(value, Tensor)}
        for row in range(len(batch)):
            yield replace(batch, **{name: value[row : row + 1] for name, value in tensors.items()}, views=())
