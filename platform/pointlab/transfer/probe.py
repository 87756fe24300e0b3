"""The linear probe: multinomial logistic regression on frozen features, the penalty chosen on validation.

The problem is convex, so it is solved (L-BFGS, in float64, on standardised features) rather than trained:
no learning rate, no schedule, no seed. Whatever is asked for together, such as all coefficients of a sweep
with all penalties, is solved in one pass. Standardisation is folded into the layers that come out.
"""

import logging
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int64
from pydantic import Field, PositiveFloat
from torch import Tensor, nn

from pointlab.config import StrictModel
from pointlab.errors import ConfigError, DataError
from pointlab.evaluation import FeatureTable, classification_metrics
from pointlab.transfer.quasi_newton import NUM_PAIRS, Evaluated, minimise
from pointlab.transfer.read_grid import ReadGrid
from pointlab.transfer.regression import Regression

logger = logging.getLogger(__name__)
TOLERANCE = 1e-6
"""Largest norm of a gradient that counts as an optimum: there predictions no longer move."""
MOST_BYTES = 1 << 28
"""Of the solver's memory of its steps; more problems are solved one group after the other."""


class ProbeConfig(StrictModel):
    """Penalties to choose from and the solver's patience."""

    penalties: tuple[PositiveFloat, ...] = Field(default=(1e-4, 1e-3, 1e-2, 1e-1), min_length=1)
    """L2 penalties on the weights, relative to the mean cross-entropy; four decades around the optimum."""
    max_iterations: int = Field(default=100, ge=1)
    """L-BFGS iterations; 30 to 70 were enough in our benchmarks."""


class LinearProbeConfig(ProbeConfig, ReadGrid):
    """The grid of the protocol `linear_probe`: penalties, and features that are read."""


def fit_probe(
    train: FeatureTable, validation: FeatureTable | None, num_classes: int, config: ProbeConfig
) -> nn.Linear:
    """Linear layer with the penalty of the best validation accuracy (the largest of equals).

    Raises as `fit_probes`.
    """
    return fit_probes([train], [validation], num_classes, config)[0]


def fit_probes(
    train: Sequence[FeatureTable],
    validation: Sequence[FeatureTable | None],
    num_classes: int,
    config: ProbeConfig,
) -> list[nn.Linear]:
    """What `fit_probe` finds for each pair of tables, all solved together.

    Without `validation` there must be a single penalty. Raises DataError if a sample has no label or is alone
    in its table, and ConfigError where there is nothing to choose a penalty on.
    """
    for table in (*train, *validation):
        if table is not None:
            table.require_labels("A linear probe")
    if (fewest := min(len(table.labels) for table in train)) < 2:
        raise DataError(
            f"A linear probe met {fewest} training cloud.",
            expected="two or more, as the deviation of features needs",
            remedy="choose another set, or raise samples_per_class",
        )
    penalties = sorted(config.penalties, reverse=True)
    layers = solve(train, penalties, num_classes, config.max_iterations)
    return [_choose(found, shown, config) for found, shown in zip(layers, validation, strict=True)]


def predict(
    layer: nn.Module, features: Float[Tensor, "samples features"]
) -> Float[Tensor, "samples classes"]:
    """Logits of a head in eval mode."""
    layer.eval()
    with torch.no_grad():
        return layer(features)  # type: ignore[no-any-return]


def solve(
    tables: Sequence[FeatureTable],
    penalties: Sequence[float],
    num_classes: int,
    max_iterations: int,
    tolerance: float = TOLERANCE,
) -> list[list[nn.Linear]]:
    """For each table a layer of each penalty; a warning is logged where an optimum was not reached."""
    layers: list[list[nn.Linear]] = []
    for group in _groups(tables, len(penalties), num_classes):
        regressions = [Regression.of(table.features, table.labels, num_classes) for table in group]
        grid = _Grid(regressions, torch.tensor(penalties, dtype=torch.float64))
        start = torch.zeros(len(group) * len(penalties), num_classes, grid.num_axes, dtype=torch.float64)
        weights, has_converged = minimise(grid, start, tolerance, max_iterations)
        if not bool(has_converged.all()):
            logger.warning(
                "%d of %d probes did not reach their optimum in %d iterations: raise probe.max_iterations",
                int((~has_converged).sum()),
                len(start),
                max_iterations,
            )
        of_tables = zip(regressions, weights.split(len(penalties)), strict=True)
        layers += [[one.layer(rows[:, : one.num_axes]) for rows in found] for one, found in of_tables]
    return layers


class _Grid:
    """All penalties on all tables as one objective; narrower tables have columns of zeros at the end."""

    def __init__(self, regressions: Sequence[Regression], penalties: Float[Tensor, " penalties"]) -> None:
        self.regressions, self.penalties = regressions, penalties
        self.num_axes = max(regression.num_axes for regression in regressions)

    def __call__(self, weights: Tensor, numbers: Int64[Tensor, " problems"]) -> Evaluated:
        table_of = numbers // len(self.penalties)
        parts = []
        for table, (rows, places) in self._by_table(table_of, weights, numbers):
            regression = self.regressions[table]
            narrow = rows[:, :, : regression.num_axes].contiguous()
            found = regression.evaluate(narrow, self.penalties[places % len(self.penalties)])
            if missing := self.num_axes - regression.num_axes:
                padded = (F.pad(found.gradients, (0, missing)), F.pad(found.metric, (0, missing)))
                found = Evaluated(found.values, *padded)
            parts.append(found)
        return Evaluated.joined(parts)

    @staticmethod
    def _by_table(
        table_of: Tensor, weights: Tensor, numbers: Tensor
    ) -> list[tuple[int, tuple[Tensor, Tensor]]]:
        """The problems of each table, which stand in a row."""
        tables, sizes = table_of.unique_consecutive(return_counts=True)
        split = zip(weights.split(sizes.tolist()), numbers.split(sizes.tolist()), strict=True)
        return list(zip(tables.tolist(), split, strict=True))


def _groups(
    tables: Sequence[FeatureTable], num_penalties: int, num_classes: int
) -> list[Sequence[FeatureTable]]:
    """As many tables at a time as the solver's memory of its steps allows, at least one."""
    widest = max(table.features.shape[1] for table in tables) + 1
    of_table = 8 * (2 * NUM_PAIRS + 8) * num_penalties * num_classes * widest
    size = max(1, MOST_BYTES // of_table)
    return [tables[first : first + size] for first in range(0, len(tables), size)]


def _choose(layers: Sequence[nn.Linear], validation: FeatureTable | None, config: ProbeConfig) -> nn.Linear:
    """The layer with the best validation accuracy, the first of equals."""
    if len(layers) == 1:
        return layers[0]
    if validation is None:
        raise ConfigError(
            f"There are {len(layers)} penalties, {', '.join(f'{p:g}' for p in config.penalties)}, and no"
            " validation data to choose one on.",
            remedy="set probe.penalties to a single one, or choose a set with a validation split",
        )

    def accuracy(layer: nn.Linear) -> float:
        scores = predict(layer, validation.features)
        return classification_metrics(scores, validation.labels)["accuracy"]

    return max(layers, key=accuracy)
