"""What frozen features tell of the class: a linear probe, and a vote of nearest neighbours.

Both are fit on features of the training split and measured on others. The linear probe is the convex solve
of a transfer (`transfer.fit_probe`); its penalty is chosen on a part of the training clouds that is held out
for that, never on the clouds it is measured on.
"""

import math

import torch
from jaxtyping import Bool, Int64
from torch import Tensor

from pointlab.errors import DataError
from pointlab.evaluation import FeatureTable, classification_metrics
from pointlab.transfer import ProbeConfig, fit_probe, predict
from pointlab.transfer.knn import KnnHead

_FEWEST_FITTED = 2
"""Clouds that a spread to standardise by needs."""


def linear_accuracy(
    fit: FeatureTable,
    score: FeatureTable,
    is_held_out: Bool[Tensor, " clouds"],
    num_classes: int,
    config: ProbeConfig,
) -> float:
    """Accuracy on `score` of a probe fit on what is not held out of `fit`, its penalty chosen on what is."""
    chosen_on = FeatureTable(fit.features[is_held_out], fit.labels[is_held_out])
    fit_on = FeatureTable(fit.features[~is_held_out], fit.labels[~is_held_out])
    layer = fit_probe(fit_on, chosen_on, num_classes, config)
    return classification_metrics(predict(layer, score.features), score.labels)["accuracy"]


def held_out(
    labels: Int64[Tensor, " clouds"], ids: Int64[Tensor, " clouds"], share: float
) -> Bool[Tensor, " clouds"]:
    """True for this share of each class's clouds, rounded up, those of the lowest ids; one always stays.

    Raises DataError where no class has two clouds, and where fewer than two clouds stay.
    """
    is_held_out = torch.zeros(len(labels), dtype=torch.bool)
    for label in labels.unique():
        members = (labels == label).nonzero().squeeze(1)
        num_held_out = min(math.ceil(share * len(members)), len(members) - 1)
        is_held_out[members[ids[members].argsort(stable=True)[:num_held_out]]] = True
    num_held_out = int(is_held_out.sum())
    num_fitted = len(labels) - num_held_out
    if num_held_out == 0 or num_fitted < _FEWEST_FITTED:
        raise DataError(
            f"The linear probe has {num_fitted} clouds to fit on, {num_held_out} to choose its penalty on.",
            expected=f"at least {_FEWEST_FITTED} to fit on, and two of some class, so that one is held out",
            remedy="raise num_clouds or fit_fraction, or leave probes out of analysis.measures",
        )
    return is_held_out


def neighbour_accuracy(
    fit: FeatureTable, score: FeatureTable, num_classes: int, num_neighbours: int
) -> float:
    """Accuracy on `score` of the majority among the nearest clouds of `fit` by cosine similarity.

    Of classes with equally many votes, the one whose voters are more similar in sum wins. Raises DataError
    where there are fewer fit clouds than neighbours.
    """
    if len(fit.labels) < num_neighbours:
        raise DataError(
            f"{num_neighbours} nearest neighbours were asked of {len(fit.labels)} clouds.",
            expected="at least as many clouds to fit on as neighbours",
            remedy="lower analysis.num_neighbours, or raise num_clouds or fit_fraction",
        )
    head = KnnHead(fit, num_classes, num_neighbours, "cosine")
    return classification_metrics(predict(head, score.features), score.labels)["accuracy"]
