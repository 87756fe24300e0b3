"""Intervals agree with scipy's, and are not given where they would mean nothing."""

import numpy as np
import pytest
from scipy import stats

from pointlab.study.statistics import MIN_CLUSTERS, paired_difference, pooled_difference, summarise

VALUES = {0: 0.81, 1: 0.78, 2: 0.86, 3: 0.80}
BASELINE = {0: 0.70, 1: 0.71, 2: 0.72, 3: 0.75, 4: 0.10}


def test_mean_and_spread_are_those_of_a_sample() -> None:
    summary = summarise(list(VALUES.values()))
    assert summary.mean == pytest.approx(np.mean(list(VALUES.values())))
    assert summary.deviation == pytest.approx(np.std(list(VALUES.values()), ddof=1))
    assert summarise([0.5]).deviation is None


def test_the_paired_interval_is_students_at_the_seeds_that_both_have() -> None:
    difference = paired_difference(VALUES, BASELINE)
    assert difference is not None
    expected = stats.ttest_rel([VALUES[s] for s in range(4)], [BASELINE[s] for s in range(4)])
    assert difference.count == 4
    assert difference.interval == pytest.approx(tuple(expected.confidence_interval(0.95)))
    assert difference.is_clear == (expected.pvalue < 0.05)


@pytest.mark.parametrize("seeds", [[0], [0, 1]])
def test_one_pair_or_equal_differences_have_no_interval(seeds: list[int]) -> None:
    difference = paired_difference(dict.fromkeys(seeds, 0.9), dict.fromkeys(seeds, 0.7))
    assert difference is not None
    assert difference.mean == pytest.approx(0.2)
    assert difference.interval is None
    assert not difference.is_clear


def test_without_a_common_seed_there_is_no_difference() -> None:
    assert paired_difference({0: 0.9}, {1: 0.7}) is None


def test_the_pooled_interval_of_single_differences_is_the_bootstrap_of_their_mean() -> None:
    sample = np.random.default_rng(0).normal(0.1, 0.05, 12)
    difference = pooled_difference([[value] for value in sample], "key")
    assert difference is not None
    expected = stats.bootstrap((sample,), np.mean, n_resamples=20_000, method="percentile", rng=0)
    assert difference.mean == pytest.approx(sample.mean())
    assert difference.interval == pytest.approx(tuple(expected.confidence_interval), abs=2e-3)


def test_what_rests_on_one_backbone_counts_as_one_draw() -> None:
    """Repeating each difference within its cluster adds no certainty; as clusters of their own they would."""
    sample = np.random.default_rng(1).normal(0.0, 0.05, 8)
    alone, repeated, apart = (
        pooled_difference(clusters, "key")
        for clusters in ([[v] for v in sample], [[v] * 9 for v in sample], [[v] for v in sample] * 9)
    )
    assert alone is not None
    assert repeated is not None
    assert apart is not None
    assert repeated.interval == pytest.approx(alone.interval)
    assert alone.interval is not None
    assert apart.interval is not None
    assert apart.interval[1] - apart.interval[0] < 0.5 * (alone.interval[1] - alone.interval[0])


def test_an_equal_key_gives_equal_bounds_and_few_clusters_none() -> None:
    clusters = [[0.01 * number] for number in range(MIN_CLUSTERS)]
    assert pooled_difference(clusters, "a") == pooled_difference(clusters, "a")
    fewer = pooled_difference(clusters[1:], "a")
    assert fewer is not None
    assert fewer.interval is None
    assert pooled_difference([[]], "a") is None
