"""Supervised training: a backbone, a classification head and cross-entropy.

It is both the baseline paradigm of pretraining and, from a pretrained backbone, full fine-tuning.
"""

from typing import Literal

from pydantic import Field
from torch import Tensor, nn

from pointlab.backbones import Backbone
from pointlab.config import StrictModel
from pointlab.data.sample import PointBatch
from pointlab.errors import DataError
from pointlab.objectives import HeadConfig, build_head
from pointlab.paradigms.base import Paradigm, StepOutput


class SupervisedConfig(StrictModel):
    """Cross-entropy on class labels."""

    kind: Literal["supervised"] = "supervised"
    head: HeadConfig = HeadConfig()
    label_smoothing: float = Field(default=0.0, ge=0, lt=1)
    """Off by default, as in the papers' fine-tuning of Point-MAE, ACT and ReCon."""


class Supervised(Paradigm):
    """Classifier over the backbone's pooled feature."""

    def __init__(self, config: SupervisedConfig, backbone: Backbone, num_classes: int) -> None:
        """Take over `backbone`; the head for `num_classes` classes is new."""
        super().__init__()
        self.backbone = backbone
        self.head = build_head(config.head, backbone.num_features, num_classes)
        self.num_classes = num_classes
        self.label_smoothing = config.label_smoothing

    def forward(self, batch: PointBatch) -> StepOutput:
        """Cross-entropy and accuracy; DataError if a cloud has no label or one outside the classes."""
        labels = self._labels(batch)
        logits = self.head(self.backbone(batch).pooled)
        loss = nn.functional.cross_entropy(logits, labels, label_smoothing=self.label_smoothing)
        accuracy = (logits.detach().argmax(1) == labels).float().mean()
        return StepOutput(loss, {"loss": loss.detach(), "accuracy": accuracy})

    def _labels(self, batch: PointBatch) -> Tensor:
        if batch.labels is None or bool((batch.labels < 0).any()):
            raise DataError(
                "A cloud without a label reached supervised training.",
                expected="a label for every cloud",
                remedy="choose a labelled set, or a paradigm that needs no labels",
            )
        return batch.labels

    def exported(self) -> dict[str, nn.Module]:
        """Backbone and head: a classifier can be used as it is."""
        return {"backbone": self.backbone, "head": self.head}
