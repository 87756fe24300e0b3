"""What resampled clusters say: an interval beside Student's, and how often a start would come first.

Within each stratum as many clusters are drawn with replacement as it has (Davison and Hinkley, Bootstrap
Methods and their Application, 1997, section 3.2), and the interval runs between percentiles of the means
(Efron and Tibshirani, An Introduction to the Bootstrap, 1993, chapter 13), as Agarwal et al. tell of few runs
(Deep Reinforcement Learning at the Edge of the Statistical Precipice, 2021, section 4.1). BCa is left out, as
its corrections for bias and skewness would be estimated from the same few clusters.

With few clusters it is too short. Of three, one resample in 27 is the least cluster thrice, so the 95 %
interval runs from the least to the greatest, and these hold the middle of a symmetric distribution between
them with a probability of 1 - 2 / 2**3, which is 75 %. Student's stays the headline.
"""

from collections.abc import Sequence
from functools import cache

import numpy as np
from jaxtyping import Float, Int64

from pointlab.study.clusters import Stratum
from pointlab.study.statistics import CONFIDENCE, NO_SPREAD

BOOTSTRAP_NOTE = (
    "95 %, percentiles of 10,000 resamples of the pretrained backbones within each route and backbone; of"
    " three seeds it runs from the least to the greatest, which is too short: Student's is the one to go by"
)
NUM_DRAWS = 10_000
"""So many leave the percentiles an error of a few hundredths of a standard error."""
SEED = 0


def resampled_means(strata: Sequence[Stratum]) -> Float[np.ndarray, "draws figures"]:
    """The weighted mean of the strata's means, in each of NUM_DRAWS draws of clusters within each stratum."""
    total = sum(stratum.weight for stratum in strata)
    drawn = _times_drawn(tuple(len(stratum.clusters) for stratum in strata))
    means = np.zeros((NUM_DRAWS, strata[0].clusters.shape[1]))
    for stratum, times in zip(strata, drawn, strict=True):
        means += stratum.weight / total * (times @ stratum.clusters) / len(stratum.clusters)
    return means


@cache
def _times_drawn(sizes: tuple[int, ...]) -> tuple[Int64[np.ndarray, "draws _"], ...]:
    """How often each cluster is in each draw, for strata of these sizes.

    The draws are the same for every figure, which thus does not depend on what else a table holds. They are
    kept, as a study makes its tables anew with every step.
    """
    random = np.random.default_rng(SEED)
    return tuple(random.multinomial(size, np.full(size, 1 / size), NUM_DRAWS) for size in sizes)


def can_be_resampled(strata: Sequence[Stratum]) -> bool:
    """Whether every stratum has two clusters at least: nobody knows the spread of a single one."""
    return bool(strata) and min(len(stratum.clusters) for stratum in strata) > 1


def bootstrap_interval(strata: Sequence[Stratum]) -> tuple[float, float] | None:
    """The 95 % percentile interval of the weighted mean of the first figure.

    None where Student's cannot be had either: of a single cluster, and of clusters without any spread.
    """
    if not can_be_resampled(strata):
        return None
    tail = (1 - CONFIDENCE) / 2
    low, high = np.quantile(resampled_means(strata)[:, 0], [tail, 1 - tail])
    return None if high - low < NO_SPREAD else (float(low), float(high))
