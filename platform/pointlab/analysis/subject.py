"""A checkpoint under analysis, and the state that it is in while it is measured."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from pointlab.backbones import Backbone


@dataclass(frozen=True)
class Subject:
    """One checkpoint.

    `head` turns the pooled feature of the last stage into class scores: the checkpoint's own, or a fresh one
    as fine-tuning would start with; `head_kind` says which, as gradients through trained heads do not
    compare, and `why_fresh` why it is not its own, where that is no choice. `start` are the backbone's
    weights before fine-tuning, for the drift, and `started_as` is the name of the subject that holds them,
    where there is one.
    """

    name: str
    backbone: Backbone
    head: nn.Module
    start: Mapping[str, Tensor] | None = None
    head_kind: Literal["own", "fresh"] = "fresh"
    why_fresh: str = ""
    started_as: str = ""

    @property
    def modules(self) -> tuple[nn.Module, nn.Module]:
        """The backbone and the head."""
        return self.backbone, self.head


@contextmanager
def under_measurement(subjects: Sequence[Subject], device: torch.device) -> Iterator[None]:
    """Every subject on `device`, in eval mode, with gradients to the whole backbone.

    Modes and `requires_grad` are put back at the end; the modules stay on the device.
    """
    roots = [root for subject in subjects for root in subject.modules]
    modes = [(module, module.training) for root in roots for module in root.modules()]
    gradients = [(parameter, parameter.requires_grad) for root in roots for parameter in root.parameters()]
    try:
        for subject in subjects:
            subject.backbone.to(device).eval().requires_grad_(True)
            subject.head.to(device).eval()
        yield
    finally:
        for module, is_training in modes:
            module.training = is_training
        for parameter, needs_gradient in gradients:
            parameter.requires_grad_(needs_gradient)
