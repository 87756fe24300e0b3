"""Multinomial logistic regression on one table of features, in coordinates in which it is quickly solved.

The mean cross-entropy + penalty / 2 * |weights|^2 over standardised features. A rotation changes neither
term, so that features are turned into their principal axes, where the Hessian is about diagonal; and with
fewer samples than features nothing is lost with the directions in which there are no samples. The biases
are the weights of a first feature that is 1, and are not penalised.
"""

from dataclasses import dataclass
from itertools import pairwise

import torch
import torch.nn.functional as F
from jaxtyping import Float, Float64, Int64
from torch import Tensor, nn

from pointlab.transfer.quasi_newton import Evaluated

COLUMNS_TOGETHER, NUMBERS_TOGETHER = 512, 1 << 17
"""Classes of all problems in one product, and scores: 1 MB, which stay within a processor's cache."""
FLATTEST = 1e-6
"""Least curvature of a cross-entropy that the metric reckons with: of separated classes it vanishes."""

Weights = Float64[Tensor, "problems classes axes"]
Penalties = Float64[Tensor, " problems"]


@dataclass(frozen=True)
class Regression:
    """One table, standardised and turned; `features` begin with a column of ones."""

    features: Float64[Tensor, "samples axes"]
    sums: Float64[Tensor, "classes axes"]
    """Of the features of each class's samples, over the number of all samples."""
    spreads: Float64[Tensor, " axes"]
    """Mean square along each axis."""
    axes: Float64[Tensor, "features axes-1"]
    mean: Float64[Tensor, " features"]
    deviation: Float64[Tensor, " features"]

    @classmethod
    def of(
        cls, features: Float[Tensor, "samples features"], labels: Int64[Tensor, " samples"], num_classes: int
    ) -> "Regression":
        """The regression of these labels on these features."""
        mean = features.double().mean(0)
        deviation = features.double().std(0).clamp_min(1e-6)
        standardised = (features.double() - mean) / deviation
        axes = principal_axes(standardised)
        turned = F.pad(standardised @ axes, (1, 0), value=1.0)
        sums = F.one_hot(labels, num_classes).T.double() @ turned / len(labels)
        return cls(turned, sums, turned.square().mean(0), axes, mean, deviation)

    @property
    def num_axes(self) -> int:
        """Columns of its weights, that of the biases among them."""
        return self.features.shape[1]

    def evaluate(self, weights: Weights, penalties: Penalties) -> Evaluated:
        """The objective of each penalty at its weights; penalties share wide products."""
        size = max(1, COLUMNS_TOGETHER // weights.shape[1])
        blocks = zip(weights.split(size), penalties.split(size), strict=True)
        return Evaluated.joined([self._evaluate(*block) for block in blocks])

    def layer(self, weights: Float64[Tensor, "classes axes"]) -> nn.Linear:
        """The layer that acts on raw features as `weights` do on turned ones."""
        scaled = weights[:, 1:] @ self.axes.T / self.deviation
        layer = nn.Linear(scaled.shape[1], scaled.shape[0]).requires_grad_(False)
        layer.weight.copy_(scaled)
        layer.bias.copy_(weights[:, 0] - scaled @ self.mean)
        return layer

    def _evaluate(self, weights: Weights, penalties: Penalties) -> Evaluated:
        num_samples, rows = len(self.features), weights.flatten(0, 1)
        entropy, evenness = torch.zeros(2, len(weights), dtype=weights.dtype)
        gradients, size = torch.zeros_like(rows), max(1, NUMBERS_TOGETHER // len(rows))
        for first, last in pairwise([*range(0, num_samples, size), num_samples]):
            features = self.features[first:last]
            scores = (rows @ features.T).view(*weights.shape[:2], -1)
            highest = scores.amax(1, keepdim=True)
            total = scores.sub_(highest).exp_().sum(1, keepdim=True)
            entropy += (highest + total.log()).sum((1, 2))
            shares = scores.div_(total)
            gradients.addmm_(shares.flatten(0, 1), features)
            evenness += shares.square_().sum((1, 2))
        pull = weights * penalties[:, None, None]
        pull[:, :, 0] = 0
        values = entropy / num_samples + (weights * (pull / 2 - self.sums)).sum((1, 2))
        curvature = ((1 - evenness / num_samples) / weights.shape[1]).clamp_min(FLATTEST)
        hessian = curvature[:, None] * self.spreads
        hessian[:, 1:] += penalties[:, None]
        gradients = gradients.view(weights.shape) / num_samples
        return Evaluated(values, gradients + pull - self.sums, 1 / hessian[:, None])


def principal_axes(features: Float64[Tensor, "samples features"]) -> Float64[Tensor, "features axes"]:
    """Orthonormal axes that span all rows, along which the features do not covary."""
    spanning: Tensor | None = None
    if len(features) < features.shape[1]:
        spanning, features = torch.linalg.qr(features.T)
        features = features.T
    axes: Tensor = torch.linalg.eigh(features.T @ features).eigenvectors
    return axes if spanning is None else spanning @ axes
