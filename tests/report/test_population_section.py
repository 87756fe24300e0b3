"""A population on the page: its generations apart, what its best member was trained with, no epoch twice."""

import json
from typing import Any

import pytest

from pointlab.report.collect import Material, best_trials
from pointlab.report.trials import TrialTable, trial_tables
from pointlab.storage import Record

RATE, HEAD = "training.optimiser.learning_rate", "supervised.head.kind"
SCORES = ((0.9, 0.2), (0.3, 0.5))
"""By generation and member, of the epoch that each kept: the best of all came after half the epochs."""
LAST = ((0.8, 0.1), (0.3, 0.4))
"""At the end of a generation, by which members were compared."""
RATES = ((1e-3, 2e-3), (3e-3, 1.2e-3))
PARENTS: tuple[tuple[float | str, ...], ...] = (("", ""), (0.0, 0.0))
"""Both members of the last generation go on from the first trial."""


def row(generation: int, member: int) -> dict[str, float | str]:
    return {
        "trial": float(2 * generation + member),
        "generation": float(generation),
        "member": float(member),
        "parent": PARENTS[generation][member],
        RATE: RATES[generation][member],
        HEAD: "linear",
        "compared": LAST[generation][member],
        "score": SCORES[generation][member],
        "coefficient": "",
        "epochs": 2.0,
        "samples": 64.0,
        "seconds": 2.0,
        "outcome": "finished",
        "run": f"trial-{generation}-{member}",
    }


def population() -> Record:
    schedule: list[dict[str, float | str]] = [
        {"epoch": 0.0, "trial": 0.0, "member": 0.0, RATE: 1e-3, HEAD: "linear"},
        {"epoch": 2.0, "trial": 3.0, "member": 1.0, RATE: 1.2e-3, HEAD: "linear"},
    ]
    return Record(
        run="search-0123456789-s0",
        kind="search",
        name="search",
        seed=0,
        protocol="full/search-4",
        config={"space": {RATE: {"kind": "log_uniform", "low": 1e-3, "high": 4e-3}}},
        code_version="",
        curves={"trials": [row(g, m) for g in range(2) for m in range(2)], "schedule": schedule},
        notes={"chosen trial": "trial-1-1"},
    )


@pytest.fixture
def table() -> TrialTable:
    record = population()
    (found,) = trial_tables(Material((record,), (record,), {}, {}))
    return found


def traces_of(markup: str) -> list[dict[str, Any]]:
    start = markup.index("[", markup.index("Plotly.newPlot("))
    found: list[dict[str, Any]] = json.JSONDecoder().raw_decode(markup, start)[0]
    return found


def test_trials_are_told_by_generation_the_last_one_first(table: TrialTable) -> None:
    assert [cells[-1] for cells in table.rows] == ["trial-1-1", "trial-1-0", "trial-0-0", "trial-0-1"]


def test_a_trial_is_told_by_its_member_and_whom_it_went_on_from(table: TrialTable) -> None:
    places = [table.columns.index(name) for name in ("generation", "member", "parent")]
    assert [tuple(cells[place] for place in places) for cells in table.rows] == [
        ("1", "1", "0"),
        ("1", "0", "0"),
        ("0", "0", ""),
        ("0", "1", ""),
    ]
    assert all(len(cells) == len(table.columns) for cells in table.rows)


def test_members_stand_beside_the_figures_that_they_were_compared_by(table: TrialTable) -> None:
    at, score = table.columns.index("at its end"), table.columns.index("score")
    told = [
        tuple(cells[column].split("\N{NO-BREAK SPACE}")[0] for column in (at, score)) for cells in table.rows
    ]
    assert told == [("40.0", "50.0"), ("30.0", "30.0"), ("80.0", "90.0"), ("10.0", "20.0")]


def test_what_was_drawn_on_a_logarithmic_scale_is_shown_on_one(table: TrialTable) -> None:
    rates, heads = (one.figure.layout.xaxis.type for one in table.pictures)
    assert (rates, heads) == ("log", "category")


def test_what_no_trial_mixed_or_stopped_has_no_column_and_no_sign(table: TrialTable) -> None:
    assert "coefficient" not in table.columns
    assert not table.has_stopped


def test_a_setting_that_never_changed_is_drawn_above_zero_where_it_is() -> None:
    record = population()
    for each in record.curves["schedule"]:
        each[RATE] = 3e-3
    (found,) = trial_tables(Material((record,), (record,), {}, {}))
    assert tuple(found.schedule[0].figure.layout.yaxis.range) == (0, 6e-3)


def test_only_scores_of_the_last_generation_are_drawn_against_settings(table: TrialTable) -> None:
    finished, _, ring = traces_of(table.pictures[0].markup)
    assert sorted(zip(finished["x"], finished["y"], strict=True)) == [(1.2e-3, 50), (3e-3, 30)]
    assert (ring["x"], ring["y"]) == ([1.2e-3], [50])


def test_what_the_best_member_was_trained_with_is_drawn_over_its_epochs(table: TrialTable) -> None:
    rates, heads = (traces_of(one.markup)[0] for one in table.schedule)
    assert (rates["x"], rates["y"], rates["line"]["shape"]) == ([0, 2], [1e-3, 1.2e-3], "hv")
    assert heads["y"] == ["linear", "linear"]


def test_logs_of_the_last_generation_alone_are_drawn_as_they_begin_with_those_before() -> None:
    assert best_trials(population()) == ["trial-1-1", "trial-1-0"]
