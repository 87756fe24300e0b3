"""Supervised training: a backbone, a classification head and cross-entropy.

It is both the baseline paradigm of pretraining and, from a pretrained backbone, full fine-tuning.
"""

from typing import Literal

from pydantic import Field
from torch import nn

from pointlab.backbones import Backbone
from pointlab.config import StrictModel
from pointlab.data.sample import PointBatch
from pointlab.objectives import HeadConfig, build_head
from pointlab.paradigms.base import Given, Paradigm, StepOutput, require_labels, with_penalty


class SupervisedConfig(StrictModel):
    """Cross-entropy on class labels."""

    kind: Literal["supervised"] = "supervised"
    head: HeadConfig = HeadConfig()
    label_smoothing: float = Field(default=0.0, ge=0, lt=1)
    """Off by default, as in the papers' fine-tuning of Point-MAE, ACT and ReCon."""


class Supervised(Paradigm):
    """Classifier over the backbone's pooled feature."""

    def __init__(self, config: SupervisedConfig, backbone: Backbone, given: Given) -> None:
        """Take over `backbone`; the head is new."""
        super().__init__()
        self.backbone = backbone
        self.head = build_head(config.head, backbone.num_features, given.num_classes)
        self.label_smoothing = config.label_smoothing

    def forward(self, batch: PointBatch) -> StepOutput:
        """Cross-entropy and accuracy; DataError if a cloud has no label."""
        labels, features = require_labels(batch), self.backbone(batch)
        logits = self.head(features.pooled)
        loss = nn.functional.cross_entropy(logits, labels, label_smoothing=self.label_smoothing)
        accuracy = (logits.detach().argmax(1) == labels).float().mean()
        return StepOutput(with_penalty(loss, features), {"loss": loss.detach(), "accuracy": accuracy})

    def exported(self) -> dict[str, nn.Module]:
        """Backbone and head: a classifier can be used as it is."""
        return {"backbone": self.backbone, "head": self.head}
