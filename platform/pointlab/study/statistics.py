"""Mean and spread over seeds, and differences to a baseline with the interval that few seeds allow.

Differences are paired: what a seed does to both sides, such as the labels that it draws, cancels out. A
seed's interval is Student's; where differences of many cells are pooled, those that rest on one pretrained
backbone stand or fall together, so whole clusters are resampled (Davison and Hinkley, Bootstrap Methods,
1997, section 3.8).
"""

import math
import statistics
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from scipy.special import stdtrit

from pointlab.seeding import Key, generator

CONFIDENCE = 0.95
RESAMPLES = 10_000
MIN_CLUSTERS = 6
"""The fewest clusters that a percentile interval is made from. That n differences without any effect have
equal signs, and so an interval without 0, has a chance of 2 / 2^n: below 5 % from six on."""

Seed = TypeVar("Seed", bound=Hashable)


@dataclass(frozen=True)
class Summary:
    """Mean and sample standard deviation; a single value has no deviation."""

    mean: float
    deviation: float | None
    count: int


@dataclass(frozen=True)
class Difference:
    """A mean difference and its 95 % interval, None where it cannot be had."""

    mean: float
    interval: tuple[float, float] | None
    count: int
    """Pairs, or clusters of them, that the interval rests on."""

    @property
    def is_clear(self) -> bool:
        """Whether the interval leaves out 0."""
        return self.interval is not None and (self.interval[0] > 0 or self.interval[1] < 0)


def summarise(values: Sequence[float]) -> Summary:
    """Mean and spread of at least one value."""
    deviation = statistics.stdev(values) if len(values) > 1 else None
    return Summary(statistics.fmean(values), deviation, len(values))


def paired_difference(values: Mapping[Seed, float], baseline: Mapping[Seed, float]) -> Difference | None:
    """Mean of the differences at the seeds that both have; None where they share none.

    The interval is Student's. There is none for one pair, nor for pairs that differ by the same amount:
    accuracies on a few hundred clouds do so by chance, which says nothing of their spread.
    """
    found = [values[seed] - baseline[seed] for seed in values if seed in baseline]
    if not found:
        return None
    summary = summarise(found)
    if summary.deviation is None or summary.deviation < 1e-12:
        return Difference(summary.mean, None, summary.count)
    half = _student(summary.count - 1) * summary.deviation / math.sqrt(summary.count)
    return Difference(summary.mean, (summary.mean - half, summary.mean + half), summary.count)


def pooled_difference(clusters: Sequence[Sequence[float]], *key: Key) -> Difference | None:
    """Mean of all differences, with the interval of means when whole clusters are drawn again, with `key`.

    There is no interval for fewer clusters than `MIN_CLUSTERS`.
    """
    kept = [cluster for cluster in clusters if cluster]
    if not kept:
        return None
    sums, sizes = np.array([sum(cluster) for cluster in kept]), np.array([len(cluster) for cluster in kept])
    mean = float(sums.sum() / sizes.sum())
    if len(kept) < MIN_CLUSTERS:
        return Difference(mean, None, len(kept))
    draws = generator("bootstrap", *key).integers(0, len(kept), (RESAMPLES, len(kept)))
    means = sums[draws].sum(1) / sizes[draws].sum(1)
    low, high = np.quantile(means, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    return Difference(mean, (float(low), float(high)), len(kept))


def _student(degrees: int) -> float:
    """Quantile of Student's distribution that the two-sided interval needs."""
    return float(stdtrit(degrees, (1 + CONFIDENCE) / 2))
