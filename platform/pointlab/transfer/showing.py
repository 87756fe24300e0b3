"""What classifiers are asked on validation, role by role, and the figures that their choice rests on.

A role is the target, its shifted set, or the target's clouds under every condition of a suite. Each condition
is one pass, and counts as much as any other: the accuracy of a suite is its mOA.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Literal

import torch
from torch import nn

from pointlab.backbones import Backbone
from pointlab.data.sample import PointBatch
from pointlab.evaluation import FeatureTable, classification_metrics, pooled_features
from pointlab.evaluation.shared_classes import SharedClasses
from pointlab.transfer.probe import predict

Batches = Callable[[], Iterable[PointBatch]]
Selection = Literal["mean", "target", "shifted", "corrupted"]


@dataclass(frozen=True)
class Figures:
    """Accuracy and mean cross-entropy of a classifier."""

    accuracy: float
    loss: float

    @classmethod
    def of(cls, head: nn.Module, table: FeatureTable, shared: SharedClasses | None = None) -> "Figures":
        """Those of a head on features of labelled clouds, perhaps of a set that only shares some classes."""
        table.require_labels("A sweep")
        said = predict(head, table.features), table.labels
        if shared is not None:
            return cls(shared.metrics(*said)["accuracy"], shared.cross_entropy(*said))
        loss = float(nn.functional.cross_entropy(said[0].double(), table.labels))
        return cls(classification_metrics(*said)["accuracy"], loss)

    @classmethod
    def mean(cls, figures: Sequence["Figures"]) -> "Figures":
        """Their plain mean, each counting alike."""
        return cls(fmean(each.accuracy for each in figures), fmean(each.loss for each in figures))


@dataclass(frozen=True)
class Showing:
    """Clouds of one role: functions that go through them once, one for each condition; and what is right
    about them, where their classes are not the classifier's."""

    passes: tuple[Batches, ...]
    shared: SharedClasses | None = None

    def features(self, backbones: Sequence[Backbone], device: torch.device) -> Iterable[list[FeatureTable]]:
        """For each pass a table per backbone, one after the other: few are in memory at a time."""
        return (pooled_features(backbones, batches(), device) for batches in self.passes)

    def figures(
        self, heads: Sequence[Sequence[nn.Module]], tables: Iterable[Sequence[FeatureTable]]
    ) -> list[list[Figures]]:
        """Of the heads of each backbone, the mean over passes; `tables` are what `features` made of them."""
        found = [
            [
                [Figures.of(head, table, self.shared) for head in own]
                for own, table in zip(heads, of_pass, strict=True)
            ]
            for of_pass in tables
        ]
        return [
            [Figures.mean([of_pass[row][place] for of_pass in found]) for place in range(len(own))]
            for row, own in enumerate(heads)
        ]


def score_of(figures: Mapping[str, Figures], selection: Selection) -> float:
    """The accuracy that the rule of this name maximises, of figures by role; `mean` is over all roles."""
    if selection == "mean":
        return sum(each.accuracy for each in figures.values()) / len(figures)
    return figures[selection].accuracy


def named_figures(figures: Mapping[str, Figures]) -> dict[str, float]:
    """Figures by role under the names that they have in a record."""
    by_name = {f"{role}-validation/accuracy": each.accuracy for role, each in figures.items()}
    return by_name | {f"{role}-validation/loss": each.loss for role, each in figures.items()}
