"""Weight drift: how far fine-tuning has carried each stage of a backbone from where it began."""

from collections.abc import Mapping

import torch
from torch import Tensor

from pointlab.analysis.subject import Subject
from pointlab.backbones.surface import NamedParameters
from pointlab.errors import TransferError


def drift_by_stage(subject: Subject) -> dict[str, float]:
    """|theta - theta_0| / |theta_0| of every stage that has parameters, over all of them together.

    Nothing for a subject without a start, and for a stage whose start is all zeros. Buffers do not count.
    Raises TransferError where the start is not of this backbone.
    """
    if subject.start is None:
        return {}
    drifts = {}
    for stage, owned in subject.backbone.parameters_by_depth():
        moved, norm = _squares(owned, subject.start, subject.name)
        if norm > 0:
            drifts[stage] = (moved / norm) ** 0.5
    return drifts


def _squares(owned: NamedParameters, start: Mapping[str, Tensor], subject: str) -> tuple[float, float]:
    """The squared norms of what was added to the start, and of the start."""
    moved = norm = 0.0
    for name, parameter in owned:
        began = start.get(name)
        if began is None or began.shape != parameter.shape:
            raise TransferError(
                f"The start of {subject} has {'no' if began is None else 'another shape of'} {name}.",
                expected="the weights that this backbone was fine-tuned from",
                remedy="name the checkpoint's own parent",
            )
        now, before = (tensor.detach().double().cpu() for tensor in (parameter, began))
        moved += float(torch.sum((now - before) ** 2))
        norm += float(torch.sum(before**2))
    return moved, norm
