"""The front holds what nothing dominates, and the recommendation follows the stated rule."""

import numpy as np
import pytest

from pointlab.experiment.search.findings import chosen, curves_of, note_of_failures, total_cost
from pointlab.experiment.search.pareto import pareto_front, scaled_means
from pointlab.experiment.search.trials import Cost, Trial
from tiny_search import RATE, tiny_search

ACCURACY, LOSS = "validation/accuracy", "validation/loss"
OBJECTIVES = [{"metric": ACCURACY}, {"metric": LOSS, "direction": "minimise"}]


def finished(number: int, accuracy: float, loss: float) -> Trial:
    return Trial(
        number=number,
        settings={RATE: 1e-3},
        outcome="finished",
        figures={ACCURACY: accuracy, LOSS: loss},
        run=f"run-{number}",
    )


def test_the_front_is_what_no_other_dominates() -> None:
    """Against the definition, written with arrays."""
    gains = np.random.default_rng(0).integers(0, 8, (40, 3)).astype(float)
    no_worse = (gains[:, None] >= gains).all(-1)
    better = (gains[:, None] > gains).any(-1)
    expected = np.flatnonzero(~(no_worse & better).any(0))
    assert pareto_front(gains.tolist()) == expected.tolist()


def test_all_trials_span_zero_to_one_in_each_objective() -> None:
    trials = [(0.0, 30.0), (10.0, 10.0), (6.0, 24.0), (0.0, 0.0)]
    assert scaled_means(trials) == pytest.approx([0.5, 2 / 3, 0.7, 0.0])


def test_a_front_of_two_does_not_always_tie() -> None:
    trials = [(0.51, 0.16), (0.50, 0.21), (0.30, 0.10)]
    assert pareto_front(trials) == [0, 1]
    assert scaled_means(trials)[1] > scaled_means(trials)[0]


def test_an_objective_in_which_all_trials_are_equal_decides_nothing() -> None:
    assert scaled_means([(1.0, 5.0)]) == [1.0]


def test_the_recommended_trial_is_balanced_and_the_first_of_equal_ones() -> None:
    search = tiny_search(objectives=OBJECTIVES)
    trials = [
        finished(0, 0.9, 0.50),
        finished(1, 0.5, 0.10),
        finished(2, 0.8, 0.20),
        finished(3, 0.8, 0.20),
        finished(4, 0.7, 0.60),
    ]
    assert chosen(search, trials).number == 2
    curves = curves_of(search, trials)
    assert [row["trial"] for row in curves["pareto"]] == [0, 1, 2, 3]
    assert [row["recommended"] for row in curves["pareto"]] == ["", "", "yes", ""]
    assert max(curves["trials"], key=lambda row: float(row["score"]))["trial"] == 2
    assert min(curves["trials"], key=lambda row: float(row["score"]))["trial"] == 4


def test_one_objective_to_minimise_chooses_the_smallest() -> None:
    search = tiny_search(objectives=OBJECTIVES[1:])
    trials = [finished(0, 0.9, 0.5), finished(1, 0.5, 0.1), finished(2, 0.8, 0.2)]
    assert chosen(search, trials).number == 1
    stopped = Trial(number=3, settings={RATE: 1e-3}, outcome="stopped early", by_epoch={1: -0.7, 2: -0.3})
    failed = Trial(number=4, settings={RATE: 1e-3}, outcome="failed", error="no space")
    curves = curves_of(search, [*trials, stopped, failed])
    assert "pareto" not in curves
    assert [row["score"] for row in curves["trials"]] == [0.5, 0.1, 0.2, 0.3, ""]  # as they are, not negated


def test_failed_trials_are_noted_with_the_first_error() -> None:
    failed = [Trial(number=n, settings={}, outcome="failed", error=f"error {n}") for n in (2, 5)]
    assert note_of_failures([finished(0, 0.9, 0.5), *failed]) == {"failed trials": "2, first error: error 2"}
    assert note_of_failures([finished(0, 0.9, 0.5)]) == {}


def test_a_run_that_trials_share_is_paid_once() -> None:
    shared = {"fine-tuned": Cost(100, 10.0)}
    trials = [Trial(number=n, settings={}, costs={**shared, f"mixture-{n}": Cost(5, 1.0)}) for n in range(3)]
    assert total_cost(trials) == Cost(115, 13.0)
