"""Ranks and agreement are those of naive counting, within contests of the same starts alone."""

import itertools
from collections.abc import Iterable

import numpy as np
import pytest
from scipy import stats

from pointlab.experiment.matrix import Levels
from pointlab.study.comparison import Measured
from pointlab.study.ranking import agreement, kendall_tau, ranking, ranks_of

Figures = dict[tuple[str, int], dict[str, float]]
"""By route and seed, what each start reaches."""


def cells(figures: Figures, *, measure: str = "test/accuracy", backbone: str = "patches") -> list[Measured]:
    return [
        Measured(
            Levels(start, backbone, route, "probe", None, seed), measure, value, f"{start}-{route}-{seed}"
        )
        for (route, seed), of_starts in figures.items()
        for start, value in of_starts.items()
    ]


def column(rows: Iterable[dict[str, float | str]], name: str) -> dict[str, float | str]:
    return {str(row["start"]): row[name] for row in rows}


STEADY: Figures = {
    (route, seed): {"scratch": 0.5 + 0.01 * seed, "good": 0.7 + 0.01 * seed, "bad": 0.3 + 0.01 * seed}
    for route, seed in itertools.product(("near", "far"), range(3))
}


def test_a_start_that_leads_everywhere_has_rank_one_and_comes_first_in_every_draw() -> None:
    rows = list(ranking(cells(STEADY)))
    assert column(rows, "mean_rank") == {"scratch": 2.0, "good": 1.0, "bad": 3.0}
    assert column(rows, "first_share") == {"scratch": 0.0, "good": 1.0, "bad": 0.0}
    assert [(row["places"], row["seeds"], row["routes"]) for row in rows] == [(6.0, 3.0, "near, far")] * 3
    assert [(row["over"], row["tau"], row["levels"]) for row in agreement(cells(STEADY))] == [
        ("seeds", 1.0, 3.0),
        ("routes", 1.0, 2.0),
    ]


def test_the_share_of_draws_is_that_of_every_combination_of_seeds() -> None:
    """One start leads at one seed by much, the other at two by little: which is first hangs on the draw."""
    figures: Figures = {
        ("near", 0): {"one": 0.9, "other": 0.5},
        ("near", 1): {"one": 0.50, "other": 0.65},
        ("near", 2): {"one": 0.50, "other": 0.65},
    }
    gaps = [of["one"] - of["other"] for of in figures.values()]
    exact = np.mean([sum(drawn) > 0 for drawn in itertools.product(gaps, repeat=3)])
    rows = list(ranking(cells(figures)))
    share = column(rows, "first_share")
    assert share["one"] == pytest.approx(exact, abs=0.02)
    assert sum(map(float, share.values())) == pytest.approx(1)
    assert column(rows, "mean_rank") == pytest.approx({"one": 5 / 3, "other": 4 / 3})
    taus = [kendall_tau(*map(_values, pair)) for pair in itertools.combinations(figures.values(), 2)]
    (row,) = agreement(cells(figures))
    assert (row["over"], row["least"]) == ("seeds", -1.0)
    assert row["tau"] == pytest.approx(np.mean([tau for tau in taus if tau is not None]))


def _values(of_starts: dict[str, float]) -> np.ndarray:
    return np.array(list(of_starts.values()))


def test_of_one_seed_nobody_knows_how_often_a_start_comes_first() -> None:
    one = [cell for cell in cells(STEADY) if cell.levels.seed == 0]
    rows = list(ranking(one))
    assert column(rows, "first_share") == dict.fromkeys(("scratch", "good", "bad"), "")
    assert column(rows, "mean_rank")["good"] == 1.0
    assert [row["over"] for row in agreement(one)] == ["routes"]


def test_starts_that_tie_share_their_rank_and_the_draws() -> None:
    figures: Figures = {("near", seed): {"one": 0.5, "same": 0.5, "last": 0.1 * seed} for seed in range(3)}
    rows = list(ranking(cells(figures)))
    assert column(rows, "mean_rank") == {"one": 1.5, "same": 1.5, "last": 3.0}
    assert column(rows, "first_share") == {"one": 0.5, "same": 0.5, "last": 0.0}


def test_starts_compete_within_a_measure_a_backbone_and_the_places_that_have_the_same_starts() -> None:
    more: Figures = {("scenes", seed): {"scratch": 0.5, "ppkt": 0.4 + 0.01 * seed} for seed in range(2)}
    found = [
        *cells(STEADY),
        *cells(more),
        *cells(STEADY, measure="test/mOA"),
        *cells(STEADY, backbone="pointnet"),
    ]
    contests = {(row["measure"], row["backbone"], row["routes"]): [] for row in ranking(found)}
    for row in ranking(found):
        contests[row["measure"], row["backbone"], row["routes"]].append(row["start"])
    all_three = ["scratch", "good", "bad"]
    assert contests == {
        ("test/accuracy", "patches", "near, far"): all_three,
        ("test/accuracy", "patches", "scenes"): ["scratch", "ppkt"],
        ("test/mOA", "patches", "near, far"): all_three,
        ("test/accuracy", "pointnet", "near, far"): all_three,
    }
    assert list(ranking(cells({("near", 0): {"alone": 0.5}}))) == []


@pytest.mark.parametrize("seed", range(5))
def test_ranks_and_tau_are_scipys_ties_among_them(seed: int) -> None:
    random = np.random.default_rng(seed)
    first, second = random.integers(0, 4, (2, 7)) / 10
    assert ranks_of(first) == pytest.approx(stats.rankdata(-first))
    assert kendall_tau(first, second) == pytest.approx(stats.kendalltau(first, second).statistic)
    assert kendall_tau(first, np.zeros(7)) is None
