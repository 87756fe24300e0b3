"""What the paradigms that learn from class labels share: a head, cross-entropy and accuracy."""

import torch
from jaxtyping import Float, Int64
from pydantic import Field
from torch import Tensor, nn

from pointlab.backbones import Backbone
from pointlab.objectives import HeadConfig, build_head
from pointlab.paradigms.base import Given, Paradigm, ParadigmSettings


class ClassifyingConfig(ParadigmSettings):
    """The settings of all these paradigms; each leaves a classifier."""

    kind: str
    head: HeadConfig = HeadConfig()
    label_smoothing: float = Field(default=0.0, ge=0, lt=1)
    """Off by default, as in the papers' fine-tuning of Point-MAE, ACT and ReCon."""


class Classifying(Paradigm):
    """A backbone with a head over its pooled feature."""

    def __init__(self, config: ClassifyingConfig, backbone: Backbone, given: Given) -> None:
        """Take over `backbone`; the head is new."""
        super().__init__()
        self.backbone = backbone
        self.head = build_head(config.head, backbone.num_features, given.num_classes)
        self.label_smoothing = config.label_smoothing

    def cross_entropy(
        self,
        logits: Float[Tensor, "batch classes"],
        labels: Int64[Tensor, " batch"],
        reduction: str = "mean",
    ) -> Float[Tensor, "..."]:
        """Cross-entropy with smoothed labels; with the reduction "none", of each cloud."""
        loss: Tensor = nn.functional.cross_entropy(
            logits, labels, label_smoothing=self.label_smoothing, reduction=reduction
        )
        return loss

    def head_parameters(self) -> list[nn.Parameter]:
        """The head, and what the backbone has for the class alone."""
        return [*self.head.parameters(), *self.backbone.class_parameters()]

    def exported(self) -> dict[str, nn.Module]:
        """Backbone and head: a classifier can be used as it is."""
        return {"backbone": self.backbone, "head": self.head}


def is_right(
    logits: Float[Tensor, "batch classes"], labels: Int64[Tensor, " batch"]
) -> Float[Tensor, " batch"]:
    """1 for each cloud whose highest score is its label's, 0 for the others; without gradients."""
    right: Tensor = logits.detach().argmax(1) == labels
    return right.to(torch.float32)
