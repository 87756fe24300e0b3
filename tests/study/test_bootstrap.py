"""The bootstrap of clusters agrees with scipy and with exact enumeration, and is as short as is said."""

import itertools

import numpy as np
import pytest
from scipy import stats

from pointlab.study.bootstrap import NUM_DRAWS, _times_drawn, bootstrap_interval, resampled_means
from pointlab.study.clusters import Draw, Stratum, mean_of, strata_of


def stratum(values: list[float], weight: float = 1.0) -> Stratum:
    return Stratum(np.array(values)[:, None], weight)


def test_the_interval_of_one_stratum_is_scipys() -> None:
    sample = np.random.default_rng(0).gamma(2, 0.05, 12)
    found = bootstrap_interval([stratum(list(sample))])
    expected = stats.bootstrap((sample,), np.mean, n_resamples=NUM_DRAWS, method="percentile", rng=1)
    assert found == pytest.approx(tuple(expected.confidence_interval), abs=0.003)


def test_draws_are_those_of_every_combination_of_each_stratums_clusters_by_weight() -> None:
    first, second = [0.0, 0.1, 0.4], [0.6, 0.8]
    exact = [
        0.25 * np.mean(one) + 0.75 * np.mean(other)
        for one in itertools.product(first, repeat=3)
        for other in itertools.product(second, repeat=2)
    ]
    means = resampled_means([stratum(first, 1.0), stratum(second, 3.0)])[:, 0]
    assert means.mean() == pytest.approx(np.mean(exact), abs=4 * np.std(exact) / NUM_DRAWS**0.5)
    assert means.std() == pytest.approx(np.std(exact), rel=0.05)
    assert set(np.round(means, 9)) == set(np.round(exact, 9))


def test_figures_of_a_cluster_are_drawn_together() -> None:
    together = Stratum(np.array([[0.1, 0.2], [0.3, 0.6], [0.5, 1.0]]), 1.0)
    means = resampled_means([together])
    assert means[:, 1] == pytest.approx(2 * means[:, 0])


def test_of_three_seeds_it_runs_from_the_least_to_the_greatest_and_holds_the_truth_in_75_of_100() -> None:
    random = np.random.default_rng(0)
    held = 0
    for _ in range(300):
        values = random.normal(0, 1, 3)
        interval = bootstrap_interval([stratum(list(values))])
        assert interval == pytest.approx((values.min(), values.max()))
        held += bool(values.min() <= 0 <= values.max())
    assert held / 300 == pytest.approx(0.75, abs=3 * (0.75 * 0.25 / 300) ** 0.5)


def test_it_is_the_same_every_time_and_not_to_be_had_where_nobody_knows_the_spread() -> None:
    strata = [stratum([0.1, 0.2, 0.4, 0.45])]
    first = bootstrap_interval(strata)
    _times_drawn.cache_clear()
    assert bootstrap_interval(strata) == first
    for unknown in ([], [stratum([0.1])], [stratum([0.1, 0.2]), stratum([0.3])], [stratum([0.2, 0.2])]):
        assert bootstrap_interval(unknown) is None


def test_what_shares_a_pretraining_is_one_cluster_and_every_route_counts_alike() -> None:
    draws = [
        Draw("patches", "near", ("a", 0), np.array([1.0])),
        Draw("patches", "near", ("a", 0), np.array([3.0])),
        Draw("patches", "far", ("a", 0), np.array([5.0])),
        Draw("patches", "odd", ("b", 0), np.array([9.0])),
        Draw("pointnet", "odd", ("b", 0), np.array([7.0])),
    ]
    strata = strata_of(draws)
    assert [(each.clusters.tolist(), each.weight) for each in strata] == [
        ([[(1 + 3) / 2 / 2 + 5 / 2]], 2.0),
        ([[9.0]], 1.0),
        ([[7.0]], 1.0),
    ]
    assert mean_of(strata) == pytest.approx([(2 * 3.5 + 9 + 7) / 4])
