"""Which start for which situation: said plainly, where nothing is sure too."""

import pytest

from pointlab.report.situations import headline, situations
from pointlab.storage import Record
from pointlab.study.comparison import Row


def pooled_row(start: str, difference: float, half: float | None, protocol: str = "full", **more: str) -> Row:
    ends: tuple[float | str, ...] = ("", "") if half is None else (difference - half, difference + half)
    found = {"difference": difference, "low": ends[0], "high": ends[1], "pairs": 6.0, "clusters": 3.0}
    return {
        "measure": "test/accuracy",
        "start": start,
        "backbone": "all",
        "protocol": protocol,
        **found,
        **more,
    }


def group_row(start: str, labels: str, difference: float, half: float, route: str = "here") -> Row:
    row = pooled_row(start, difference, half)
    return {**row, "backbone": "patches", "route": route, "samples_per_class": labels, "mean": 0.5}


def study(pooled: list[Row], comparison: list[Row] | None = None) -> Record:
    return Record(
        run="a-study-0123456789",
        kind="study",
        name="a-study",
        seed=0,
        protocol="study",
        config={},
        code_version="",
        curves={"cells": [], "comparison": comparison or [], "pooled": pooled},
        notes={"baseline": "scratch", "measure": "test/accuracy", "cells": "9 of 9 finished, 0 failed"},
    )


def test_the_headline_counts_the_situations_in_which_a_start_is_surely_better() -> None:
    rows = [
        pooled_row("masked", 0.05, 0.01),
        pooled_row("act", 0.02, 0.05),
        pooled_row("masked", 0.01, 0.05, "probe"),
    ]
    told = headline(study(rows))
    assert told.startswith("Surely better than scratch over all routes and labels")
    assert "masked in 1 of 2. In 1 of them nothing is." in told
    assert "act" not in told


@pytest.mark.parametrize(
    ("half", "told"),
    [
        (
            0.09,
            "Nothing is surely better than scratch in the one situation studied: no interval lies above 0",
        ),
        (None, "Nothing can be called surely better than scratch: no difference has an interval"),
    ],
)
def test_the_headline_says_plainly_that_nothing_is_sure(half: float | None, told: str) -> None:
    assert headline(study([pooled_row("masked", 0.05, half)])).startswith(told)


def test_measures_and_numbers_of_labels_are_situations_of_their_own() -> None:
    corrupted = {"measure": "corrupted-test/mOA"}
    groups = [
        group_row("masked", "10", 0.05, 0.01),
        group_row("masked", "10", 0.03, 0.09, "there"),
        group_row("masked", "all", -0.02, 0.03),
        {**group_row("masked", "all", 0.01, 0.09), **corrupted},
    ]
    pooled = [pooled_row("masked", 0.05, 0.01), pooled_row("masked", -0.05, 0.01, **corrupted)]
    told = dict(situations(study(pooled, groups)))
    assert told == {
        "test accuracy, full": "better: masked +5.0 [+4.0, +6.0], over all routes and labels.",
        "accuracy under corruptions, full": "none is ahead; masked comes closest with -5.0 [-6.0, -4.0];"
        " worse: masked -5.0 [-6.0, -4.0], over all routes and labels.",
        "test accuracy, full, 10 labels a class": "surely better: masked at 1 of 2 places.",
        "test accuracy, full, all labels": "nothing is surely better; masked comes closest with -2.0 in the"
        " mean of 1 place.",
    }
