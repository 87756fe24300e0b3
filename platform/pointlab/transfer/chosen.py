"""A head that was chosen on validation data, with what was chosen."""

from collections.abc import Sequence
from dataclasses import dataclass

from torch import nn

from pointlab.evaluation import FeatureTable, classification_metrics
from pointlab.transfer.probe import predict


@dataclass(frozen=True)
class Chosen:
    """The best head on one feature, its validation accuracy, and the settings that it has."""

    head: nn.Module
    accuracy: float
    settings: dict[str, float | str]


def accuracy_of(head: nn.Module, validation: FeatureTable) -> float:
    """Share of the clouds that the head names right."""
    return classification_metrics(predict(head, validation.features), validation.labels)["accuracy"]


def place_of_best(found: Sequence[Chosen]) -> int:
    """Where the highest accuracy is, the first of equals."""
    return max(range(len(found)), key=lambda place: (found[place].accuracy, -place))
