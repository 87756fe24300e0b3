"""Few-shot classification: a head for each fold, learned from a few clouds of each of its classes.

Whatever has to be set is set beforehand: a fold has no clouds to choose on, and its queries choose nothing.
The released code of the papers keeps the best epoch on the queries, so that its figures are higher.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

import torch
from jaxtyping import Int64
from pydantic import Field, PositiveFloat
from torch import Tensor, nn

from pointlab.backbones import Backbone
from pointlab.config import StrictModel
from pointlab.data.sample import PointBatch
from pointlab.evaluation import FeatureTable
from pointlab.paradigms import Given, StepOutput, SupervisedConfig
from pointlab.paradigms.supervised import Supervised
from pointlab.transfer.probe import ProbeConfig, fit_probes
from pointlab.transfer.svm import SvmConfig, fit_svm


class FewShotConfig(StrictModel):
    """The folds, and how each is learned; the defaults are the first setting of the papers."""

    ways: int = Field(default=5, ge=2)
    """Classes of a fold."""
    shots: int = Field(default=10, ge=1)
    """Training clouds of each class."""
    folds: int = Field(default=10, ge=2)
    """Two are the fewest that have a spread."""
    queries: int = Field(default=20, ge=1)
    """Clouds of each class to be asked about, or all of a class with fewer."""
    head: Literal["linear", "svm", "full"] = "linear"
    """linear: logistic regression on frozen features; svm: a linear support vector machine on them; full: all
    weights are fine-tuned, to the last step."""
    penalty: PositiveFloat = 0.1
    """Of the linear head, relative to the mean cross-entropy: fixed, and large, as clouds are few."""
    strength: PositiveFloat = 1.0
    """C of the support vector machine: fixed; its library's default."""

    @property
    def without_effect(self) -> frozenset[str]:
        """What other heads read."""
        read_by = {"penalty": "linear", "strength": "svm"}
        return frozenset(name for name, head in read_by.items() if head != self.head)

    @property
    def stamp(self) -> str:
        """What a table may compare: equal classes, clouds and head."""
        return f"{self.ways}-way-{self.shots}-shot/{self.head}"


def places_in(
    classes: Sequence[int] | Int64[Tensor, " ways"], labels: Int64[Tensor, " samples"]
) -> Int64[Tensor, " samples"]:
    """The place of each label among the ascending `classes` of a fold, all of which are among them."""
    return torch.searchsorted(torch.as_tensor(classes, device=labels.device), labels)


def fit_heads(supports: Sequence[FeatureTable], config: FewShotConfig) -> list[nn.Linear]:
    """The frozen head of each fold, whose labels are places among its classes; nothing is chosen."""
    if config.head == "svm":
        settings = config.ways, SvmConfig(strengths=(config.strength,))
        return [fit_svm(support, None, *settings).layer for support in supports]
    settled = ProbeConfig(penalties=(config.penalty,))
    return fit_probes(supports, [None] * len(supports), config.ways, settled)


class FoldClassifier(Supervised):
    """A classifier of the classes of one fold: the labels of its batches are those of the whole set."""

    def __init__(
        self, config: SupervisedConfig, backbone: Backbone, given: Given, classes: Sequence[int]
    ) -> None:
        """Take over `backbone`; the new head tells the ascending `classes` apart."""
        super().__init__(config, backbone, replace(given, num_classes=len(classes)))
        self.classes = tuple(classes)

    def forward(self, batch: PointBatch) -> StepOutput:
        """Cross-entropy and accuracy over the classes of the fold."""
        assert batch.labels is not None, "a batch always carries labels"
        return super().forward(replace(batch, labels=places_in(self.classes, batch.labels)))
