"""A linear support vector machine on frozen features, one class against the rest of them.

As in Point-BERT, Point-M2AE and ReCon (section on linear SVM): features as they are, not standardised, the
squared hinge loss, and a bias that is penalised like a weight. The primal problem is solved, which draws
nothing at random: equal features make equal machines.
"""

import warnings
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int64
from pydantic import Field, PositiveFloat, field_validator
from torch import Tensor, nn

from pointlab.config import StrictModel, require_different
from pointlab.errors import DataError
from pointlab.evaluation import FeatureTable, classification_metrics
from pointlab.transfer.probe import predict

NEVER = torch.finfo(torch.float32).min
"""The score of a class that no training cloud has: below that of any other."""


class SvmConfig(StrictModel):
    """How much a wrong cloud costs beside a wide margin, and the solver's patience."""

    strengths: tuple[PositiveFloat, ...] = Field(default=(0.01, 0.075, 1.0), min_length=1)
    """The C to choose from: about Point-M2AE's, ReCon's and Point-BERT's. A single one is taken as it is, and
    no validation is needed."""
    max_iterations: int = Field(default=10_000, ge=1)
    """Ten times the solver's own bound, as features are not standardised."""
    _are_different = field_validator("strengths")(require_different)


@dataclass(frozen=True)
class FittedSvm:
    """The chosen machine as a layer, its C, and whether the solver came to an end with it."""

    layer: nn.Linear
    strength: float
    has_converged: bool


def fit_svm(
    train: FeatureTable, validation: FeatureTable | None, num_classes: int, config: SvmConfig
) -> FittedSvm:
    """The machine with the C of the best validation accuracy (the smallest of equals); without `validation`
    the first.

    Raises DataError if a training cloud has no label, or all have the same.
    """
    train.require_labels("A linear SVM")
    if len(present := train.labels.unique()) < 2:
        raise DataError(
            f"A linear SVM met clouds of the class {int(present[0])} alone.",
            expected="clouds of two classes or more in the training split",
            remedy="choose another set, or raise samples_per_class",
        )
    fitted = [solve(train, num_classes, c, config.max_iterations) for c in sorted(config.strengths)]
    if validation is None:
        return fitted[0]
    validation.require_labels("A linear SVM")

    def accuracy(svm: FittedSvm) -> float:
        scores = predict(svm.layer, validation.features)
        return classification_metrics(scores, validation.labels)["accuracy"]

    return max(fitted, key=accuracy)


def solve(train: FeatureTable, num_classes: int, strength: float, max_iterations: int) -> FittedSvm:
    """The machine of this C."""
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.svm import LinearSVC

    machine = LinearSVC(C=strength, dual=False, max_iter=max_iterations)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # told by `has_converged`
        machine.fit(train.features.double().numpy(), train.labels.numpy())
    layer = _as_layer(
        torch.from_numpy(machine.coef_),
        torch.from_numpy(machine.intercept_),
        torch.from_numpy(machine.classes_),
        num_classes,
    )
    return FittedSvm(layer, strength, bool(machine.n_iter_ < max_iterations))


def _as_layer(
    weights: Float[Tensor, "rows features"],
    biases: Float[Tensor, " rows"],
    present: Int64[Tensor, " present"],
    num_classes: int,
) -> nn.Linear:
    """The layer whose highest score is the machine's answer; of two classes the machine has one row, for the
    second of them."""
    if len(present) == 2:
        weights, biases = torch.cat([-weights, weights]), torch.cat([-biases, biases])
    layer = nn.Linear(weights.shape[1], num_classes).requires_grad_(False)
    nn.init.zeros_(layer.weight)
    nn.init.constant_(layer.bias, NEVER)
    layer.weight[present], layer.bias[present] = weights.float(), biases.float()
    return layer
