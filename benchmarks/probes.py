"""A grid of linear probes in one pass beside the same probes one by one.

One by one they are solved by torch's own L-BFGS, each from the last one's answer, as this platform did
before, and by scikit-learn. Features are drawn: classes that overlap, with directions of very different
weight, as those of deep networks are. All forms take turns within one run, so that a busy neighbour slows
all; each time is the median of its turns, in seconds of the processor. The largest norm of a gradient, of
the objective that all minimise, says how near to the optimum each form came.
"""

import warnings
from collections.abc import Callable
from functools import partial

import torch
import torch.nn.functional as F
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from torch import Tensor, nn
from turns import medians_of_turns, parser_of_probes, start, told

from pointlab.evaluation import FeatureTable
from pointlab.transfer.probe import TOLERANCE, solve

SIZES = {"small": (500, 192, 16), "larger": (4000, 768, 40)}
"""Samples, features and classes."""
MAX_ITERATIONS = 100
OF_TORCH = 2e-4
"""About the gradient at which torch's solver, set to 1e-7, sees no progress and stops."""
Answer = list[Tensor]
"""Weights on standardised features, the bias last, of each penalty."""


def table(num_samples: int, num_features: int, num_classes: int) -> FeatureTable:
    """Features whose spread falls as one over the rank of the direction."""
    draw = torch.Generator().manual_seed(0)
    axes = torch.linalg.qr(torch.randn(num_features, num_features, generator=draw)).Q
    spreads = 1 / torch.arange(1, num_features + 1)
    labels = torch.arange(num_samples) % num_classes
    centres = 0.4 * torch.randn(num_classes, num_features, generator=draw)
    rows = centres[labels] + 1.5 * torch.randn(num_samples, num_features, generator=draw)
    return FeatureTable((rows * spreads) @ axes, labels)


def standardised(data: FeatureTable) -> Tensor:
    """Features in float64, of mean 0 and deviation 1."""
    features = data.features.double()
    return (features - features.mean(0)) / features.std(0)


def in_one_pass(
    data: FeatureTable, penalties: list[float], num_classes: int, tolerance: float = TOLERANCE
) -> Answer:
    """All penalties together."""
    (layers,) = solve([data], penalties, num_classes, MAX_ITERATIONS, tolerance)
    features = data.features.double()
    mean, deviation = features.mean(0), features.std(0)
    return [unfolded(layer, mean, deviation) for layer in layers]


def unfolded(layer: nn.Linear, mean: Tensor, deviation: Tensor) -> Tensor:
    """What the layer does to raw features, as done to standardised ones."""
    weights = layer.weight.double()
    bias = layer.bias.double() + weights @ mean
    return torch.cat([weights * deviation, bias[:, None]], dim=1)


def by_torch(data: FeatureTable, penalties: list[float], num_classes: int) -> Answer:
    """One after the other by `torch.optim.LBFGS`, each from the last one's answer."""
    features, found = standardised(data), []
    weights = torch.zeros(num_classes, features.shape[1] + 1, dtype=torch.float64)
    for penalty in penalties:
        weights = weights.detach().clone().requires_grad_()
        solver = torch.optim.LBFGS(
            [weights],
            max_iter=MAX_ITERATIONS,
            history_size=10,
            tolerance_grad=1e-7,
            line_search_fn="strong_wolfe",
        )
        solver.step(partial(closure, solver, weights, features, data.labels, penalty))
        found.append(weights.detach())
    return found


def closure(
    solver: torch.optim.Optimizer, weights: Tensor, features: Tensor, labels: Tensor, penalty: float
) -> Tensor:
    """The objective, its gradient left where the solver looks for it."""
    solver.zero_grad()
    value = objective(weights, features, labels, penalty)
    value.backward()
    return value


def by_scikit_learn(data: FeatureTable, penalties: list[float], num_classes: int) -> Answer:  # noqa: ARG001
    """One after the other by `LogisticRegression` as it is set, but for the number of iterations."""
    features, found = standardised(data), []
    for penalty in penalties:
        model = LogisticRegression(C=1 / (penalty * len(features)), max_iter=MAX_ITERATIONS)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            model.fit(features.numpy(), data.labels.numpy())
        weights, biases = torch.from_numpy(model.coef_), torch.from_numpy(model.intercept_)
        found.append(torch.cat([weights, biases[:, None]], dim=1))
    return found


def objective(weights: Tensor, features: Tensor, labels: Tensor, penalty: float) -> Tensor:
    """Mean cross-entropy + penalty / 2 * |weights|^2, biases apart."""
    scores = features @ weights[:, :-1].T + weights[:, -1]
    return F.cross_entropy(scores, labels) + penalty / 2 * weights[:, :-1].square().sum()


def largest_gradient(data: FeatureTable, penalties: list[float], answer: Answer) -> float:
    """Of all probes."""
    features, norms = standardised(data), []
    for penalty, solution in zip(penalties, answer, strict=True):
        weights = solution.detach().requires_grad_()
        (gradient,) = torch.autograd.grad(objective(weights, features, data.labels, penalty), weights)
        norms.append(float(gradient.norm()))
    return max(norms)


FORMS: dict[str, Callable[[FeatureTable, list[float], int], Answer]] = {
    "one pass": in_one_pass,
    "one pass, as torch": partial(in_one_pass, tolerance=OF_TORCH),
    "torch, one by one": by_torch,
    "scikit-learn, one by one": by_scikit_learn,
}


def compare(size: str, num_probes: int, turns: int) -> None:
    """A line for each form."""
    num_classes, data = SIZES[size][2], table(*SIZES[size])
    penalties = torch.logspace(-1, -4, num_probes).tolist()
    forms = {name: partial(form, data, penalties, num_classes) for name, form in FORMS.items()}
    for name, line in told(size, medians_of_turns(forms, turns), "one pass").items():
        print(f"{line}   gradient {largest_gradient(data, penalties, forms[name]()):.1e}")


def main() -> None:
    options = parser_of_probes(__doc__, "probes.py", SIZES).parse_args()
    start(options)
    for size in options.sizes:
        compare(size, options.probes, options.turns)


if __name__ == "__main__":
    main()
