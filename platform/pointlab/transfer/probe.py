"""The linear probe: multinomial logistic regression on frozen features, the penalty chosen on validation.

The problem is convex, so it is solved (L-BFGS, in float64, on standardised features) rather than trained:
no learning rate, no schedule, no seed. Standardisation is folded into the layer that comes out.
"""

import torch
from jaxtyping import Float, Int64
from pydantic import Field
from torch import Tensor, nn

from pointlab.config import StrictModel
from pointlab.evaluation import FeatureTable, classification_metrics


class ProbeConfig(StrictModel):
    """Penalties to choose from and the solver's patience."""

    penalties: tuple[float, ...] = Field(default=(1e-4, 1e-3, 1e-2, 1e-1), min_length=1)
    """L2 penalties on the weights, relative to the mean cross-entropy; four decades around the optimum."""
    max_iterations: int = Field(default=100, ge=1)
    """L-BFGS iterations; features of small sets converge in fewer."""


def fit_probe(
    train: FeatureTable, validation: FeatureTable, num_classes: int, config: ProbeConfig
) -> nn.Linear:
    """Linear layer with the penalty of the best validation accuracy (the largest of equals).

    Raises DataError if a sample has no label.
    """
    for table in (train, validation):
        table.require_labels("A linear probe")
    mean = train.features.double().mean(0)
    deviation = train.features.double().std(0).clamp_min(1e-6)
    standardised = (train.features.double() - mean) / deviation
    best: tuple[float, nn.Linear] | None = None
    start = torch.zeros(num_classes, standardised.shape[1] + 1, dtype=torch.float64)
    for penalty in sorted(config.penalties, reverse=True):
        start = _solve(standardised, train.labels, penalty, start, config.max_iterations)
        layer = _fold(start, mean, deviation)
        accuracy = classification_metrics(predict(layer, validation.features), validation.labels)["accuracy"]
        if best is None or accuracy > best[0]:
            best = accuracy, layer
    assert best is not None, "penalties are not empty"
    return best[1]


def predict(
    layer: nn.Module, features: Float[Tensor, "samples features"]
) -> Float[Tensor, "samples classes"]:
    """Logits of a head in eval mode."""
    layer.eval()
    with torch.no_grad():
        return layer(features)  # type: ignore[no-any-return]


def _solve(
    features: Float[Tensor, "samples features"],
    labels: Int64[Tensor, " samples"],
    penalty: float,
    start: Float[Tensor, "classes weights"],
    max_iterations: int,
) -> Float[Tensor, "classes weights"]:
    """Weights (the last column is the bias) that minimise mean cross-entropy + penalty/2 * |weights|^2."""
    weights = start.clone().requires_grad_()
    solver = torch.optim.LBFGS(
        [weights],
        max_iter=max_iterations,
        history_size=10,
        tolerance_grad=1e-7,
        line_search_fn="strong_wolfe",
    )

    def closure() -> Tensor:
        solver.zero_grad()
        logits = features @ weights[:, :-1].T + weights[:, -1]
        loss = nn.functional.cross_entropy(logits, labels) + penalty / 2 * weights[:, :-1].square().sum()
        loss.backward()
        return loss

    solver.step(closure)
    return weights.detach()


def _fold(
    weights: Float[Tensor, "classes weights"],
    mean: Float[Tensor, " features"],
    deviation: Float[Tensor, " features"],
) -> nn.Linear:
    """The layer that acts on raw features as `weights` do on standardised ones."""
    scaled = weights[:, :-1] / deviation
    layer = nn.Linear(scaled.shape[1], scaled.shape[0])
    with torch.no_grad():
        layer.weight.copy_(scaled)
        layer.bias.copy_(weights[:, -1] - scaled @ mean)
    return layer.requires_grad_(False)
