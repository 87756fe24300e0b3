"""Intervals agree with scipy's, hold the truth as often as they say, and are left out where nobody knows."""

import numpy as np
import pytest
from scipy import stats

from pointlab.study.statistics import mean_interval, paired, pooled_difference, summarise

VALUES = {0: 0.81, 1: 0.78, 2: 0.86, 3: 0.80}
BASELINE = {0: 0.70, 1: 0.71, 2: 0.72, 3: 0.75, 4: 0.10}


def test_mean_and_spread_are_those_of_a_sample() -> None:
    summary = summarise(list(VALUES.values()))
    assert summary.mean == pytest.approx(np.mean(list(VALUES.values())))
    assert summary.deviation == pytest.approx(np.std(list(VALUES.values()), ddof=1))
    assert summarise([0.5]).deviation is None


def test_the_interval_of_paired_differences_is_students_at_the_seeds_that_both_have() -> None:
    found = paired(VALUES, BASELINE)
    difference = pooled_difference([found], [1.0])
    assert difference is not None
    expected = stats.ttest_rel([VALUES[s] for s in range(4)], [BASELINE[s] for s in range(4)])
    assert difference.count == 4
    assert difference.interval == pytest.approx(tuple(expected.confidence_interval(0.95)))
    assert mean_interval(found) == pytest.approx(difference.interval)


def test_without_a_common_seed_there_is_no_difference() -> None:
    assert paired({0: 0.9}, {1: 0.7}) == []


def test_the_pooled_interval_of_one_stratum_is_students() -> None:
    sample = np.random.default_rng(0).normal(0.1, 0.05, 12)
    difference = pooled_difference([list(sample)], [1.0])
    assert difference is not None
    expected = stats.ttest_1samp(sample, 0).confidence_interval(0.95)
    assert difference.mean == pytest.approx(sample.mean())
    assert difference.interval == pytest.approx((expected.low, expected.high))


@pytest.mark.parametrize("sizes", [(3, 3), (6, 2), (3, 2, 4)])
def test_the_pooled_interval_holds_the_truth_in_95_of_100_studies(sizes: tuple[int, ...]) -> None:
    """The strata's own means differ: what is to be held is their mean, however many clusters each has."""
    random = np.random.default_rng(0)
    truths = 0.2 * np.arange(len(sizes))
    held = 0
    for _ in range(2000):
        strata = [list(random.normal(truth, 1, size)) for truth, size in zip(truths, sizes, strict=True)]
        difference = pooled_difference(strata, [1.0] * len(sizes))
        assert difference is not None
        assert difference.interval is not None
        held += difference.interval[0] <= truths.mean() <= difference.interval[1]
    assert held / 2000 == pytest.approx(0.95, abs=0.015)  # three standard errors


def test_strata_count_by_their_weight_and_not_by_their_clusters() -> None:
    difference = pooled_difference([[0.0, 0.1, 0.2], [0.6, 0.8]], [1.0, 3.0])
    assert difference is not None
    assert difference.mean == pytest.approx(0.25 * 0.1 + 0.75 * 0.7)
    assert difference.count == 5


def test_a_stratum_of_one_cluster_has_no_spread_and_its_study_no_interval() -> None:
    for strata in ([[0.1, 0.2], [0.3]], [[0.1]], [[0.2, 0.2], [0.1, 0.1]]):
        difference = pooled_difference(strata, [1.0] * len(strata))
        assert difference is not None
        assert difference.interval is None
    assert pooled_difference([], []) is None
