"""Mean and spread over seeds, and differences to a baseline with the interval that few seeds allow.

Differences are paired: what a seed does to both sides, such as the labels that it draws, cancels out. A
seed's interval is Student's. So is that of many cells together: those that rest on one pretrained backbone
stand or fall together and count as one draw, a cluster; routes and backbones are what they are, and are no
draws. That is a stratified sample of clusters (Cochran, Sampling Techniques, 1977, chapter 5), whose variance
is pooled over strata, as each has few. `bootstrap` resamples the same clusters.
"""

import math
import statistics
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from scipy.special import stdtrit

CONFIDENCE = 0.95
NO_SPREAD = 1e-12
"""Deviations below this are rounding."""
Stratum = Sequence[float]
"""What each cluster of a stratum gives, such as the mean of its differences."""
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


def summarise(values: Sequence[float]) -> Summary:
    """Mean and spread of at least one value."""
    deviation = statistics.stdev(values) if len(values) > 1 else None
    return Summary(statistics.fmean(values), deviation, len(values))


def paired(values: Mapping[Seed, float], baseline: Mapping[Seed, float]) -> list[float]:
    """The differences at the seeds that both have."""
    return [values[seed] - baseline[seed] for seed in values if seed in baseline]


def mean_interval(values: Sequence[float]) -> tuple[float, float] | None:
    """Student's 95 % interval of the mean of what at least one draw, such as a seed, gave.

    None where it cannot be had: of a single value, and of values without any spread. Accuracies on a few
    hundred clouds differ by the same amount by chance, which says nothing of their spread.
    """
    summary = summarise(values)
    if summary.deviation is None or summary.deviation < NO_SPREAD:
        return None
    return _interval(summary.mean, summary.deviation / math.sqrt(summary.count), summary.count - 1)


def pooled_difference(strata: Sequence[Stratum], weights: Sequence[float]) -> Difference | None:
    """Weighted mean of the strata's means, with Student's interval of `clusters - strata` degrees of freedom.

    It speaks for these strata alone. There is none where a stratum has a single cluster, whose spread nobody
    knows, nor where no stratum has any spread. None without strata; each must have a cluster.
    """
    if not strata:
        return None
    shares = [weight / sum(weights) for weight in weights]
    centres = [statistics.fmean(clusters) for clusters in strata]
    mean = sum(share * centre for share, centre in zip(shares, centres, strict=True))
    count, degrees = sum(map(len, strata)), sum(len(clusters) - 1 for clusters in strata)
    within = [(v - centre) ** 2 for clusters, centre in zip(strata, centres, strict=True) for v in clusters]
    deviation = math.sqrt(sum(within) / degrees) if degrees else 0.0
    if min(map(len, strata)) < 2 or deviation < NO_SPREAD:
        return Difference(mean, None, count)
    per_cluster = sum(share**2 / len(clusters) for share, clusters in zip(shares, strata, strict=True))
    return Difference(mean, _interval(mean, deviation * math.sqrt(per_cluster), degrees), count)


def _interval(mean: float, error: float, degrees: int) -> tuple[float, float]:
    """Student's two-sided interval for a mean with this standard error."""
    half = float(stdtrit(degrees, (1 + CONFIDENCE) / 2)) * error
    return mean - half, mean + half
