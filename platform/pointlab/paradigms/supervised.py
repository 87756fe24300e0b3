"""Supervised training: a backbone, a classification head and cross-entropy.

It is both the baseline paradigm of pretraining and, from a pretrained backbone, full fine-tuning.
"""

from typing import Literal

from jaxtyping import Int64
from torch import Tensor

from pointlab.backbones import Backbone
from pointlab.data.sample import PointBatch
from pointlab.objectives import MixingConfig, mix_points
from pointlab.paradigms.base import Given, StepOutput, require_labels, with_penalty
from pointlab.paradigms.classifying import Classifying, ClassifyingConfig, is_right


class SupervisedConfig(ClassifyingConfig):
    """Cross-entropy on class labels."""

    kind: Literal["supervised"] = "supervised"
    mixing: MixingConfig = MixingConfig()
    """Whether training clouds are mixed with each other; off, as in those papers."""


class Supervised(Classifying):
    """Classifier over the backbone's pooled feature."""

    def __init__(self, config: SupervisedConfig, backbone: Backbone, given: Given) -> None:
        """Take over `backbone`; the head is new."""
        super().__init__(config, backbone, given)
        self.mixing = config.mixing

    def forward(self, batch: PointBatch) -> StepOutput:
        """Cross-entropy and accuracy; DataError if a cloud has no label."""
        labels = require_labels(batch)
        if self.training and self.mixing.kind != "none":
            return self._mixed_step(batch, labels)
        features = self.backbone(batch)
        logits = self.head(features.pooled)
        loss = self.cross_entropy(logits, labels)
        metrics = {"loss": loss.detach(), "accuracy": is_right(logits, labels).mean()}
        return StepOutput(with_penalty(loss, features), metrics)

    def _mixed_step(self, batch: PointBatch, labels: Int64[Tensor, " batch"]) -> StepOutput:
        """Both labels of a mixed cloud count by its shares, in the loss and in the accuracy.

        A network that always names the larger share has an accuracy below 1; validation mixes nothing.
        """
        mixture = mix_points(batch, self.mixing)
        others = labels[mixture.partners]
        features = self.backbone(mixture.batch)
        logits = self.head(features.pooled)
        loss = mixture.mean(
            self.cross_entropy(logits, labels, "none"), self.cross_entropy(logits, others, "none")
        )
        accuracy = mixture.mean(is_right(logits, labels), is_right(logits, others))
        return StepOutput(with_penalty(loss, features), {"loss": loss.detach(), "accuracy": accuracy})
