"""Which start for which situation: said plainly, where nothing is sure too."""

import pytest

from pointlab.report.answer import answers
from pointlab.report.collect import Material
from pointlab.report.situations import headline, situations
from pointlab.report.study_tables import route_tables
from pointlab.storage import Record
from pointlab.study.comparison import Row
from study_records import study_record


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


def mixed(start: str, seed: int, coefficient: float, *, is_given: bool = False) -> Record:
    """A finished cell of the protocol `mixture`."""
    return Record(
        run=f"{start}-mixture-0123456789-s{seed}",
        kind="transfer",
        name="mixture",
        seed=seed,
        protocol="wise_ft_lp",
        config={},
        code_version="",
        metrics={"selection/coefficient": coefficient},
        notes={} if is_given else {"selection rule": "the highest"},
    )


def cell_row(cell: Record) -> Row:
    start = cell.run.partition("-")[0]
    place = {"backbone": "patches", "route": "here", "protocol": "mixture", "samples_per_class": "all"}
    return {**place, "start": start, "outcome": "finished", "error": "", "run": cell.run}


def test_the_headline_counts_the_situations_in_which_a_start_is_surely_better() -> None:
    rows = [
        pooled_row("masked", 0.05, 0.01),
        pooled_row("act", 0.02, 0.05),
        pooled_row("masked", 0.01, 0.05, "probe"),
    ]
    told = headline(study_record(pooled=rows), {})
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
    assert headline(study_record(pooled=[pooled_row("masked", 0.05, half)]), {}).startswith(told)


def test_measures_and_numbers_of_labels_are_situations_of_their_own() -> None:
    corrupted = {"measure": "corrupted-test/mOA"}
    groups = [
        group_row("masked", "10", 0.05, 0.01),
        group_row("masked", "10", 0.03, 0.09, "there"),
        group_row("masked", "all", -0.02, 0.03),
        {**group_row("masked", "all", 0.01, 0.09), **corrupted},
    ]
    pooled = [pooled_row("masked", 0.05, 0.01), pooled_row("masked", -0.05, 0.01, **corrupted)]
    told = dict(situations(study_record(pooled=pooled, comparison=groups), {}))
    assert told == {
        "test accuracy, full": "better: masked +5.0 [+4.0, +6.0], over all routes and labels.",
        "accuracy under corruptions, full": "none is ahead; masked comes closest with -5.0 [-6.0, -4.0];"
        " worse: masked -5.0 [-6.0, -4.0], over all routes and labels.",
        "test accuracy, full, 10 labels a class": "surely better: masked at 1 of 2 places.",
        "test accuracy, full, all labels": "nothing is surely better; masked comes closest with -2.0 at the"
        " one place.",
    }


def test_starts_that_are_better_at_equally_many_places_are_told_together() -> None:
    differences = [("act", 0.04, 0.02), ("masked", 0.05, 0.03), ("recon", 0.01, 0.01)]
    groups = [
        group_row(start, labels, each, 0.03, route)
        for start, *both in differences
        for each, route in zip(both, ("here", "there"), strict=True)
        for labels in ("10", "all")
    ]
    one_place = group_row("ppkt", "all", 0.05, 0.01, "rooms")
    told = dict(situations(study_record(comparison=[*groups, one_place], pooled=[]), {}))
    assert told["accuracy, full, 10 labels a class"] == "surely better: act, masked at 1 of 2 places."
    both = "surely better: act, masked at 1 of 2 places; ppkt at the one place."
    assert told["accuracy, full, all labels"] == both


def test_a_lead_that_is_not_sure_is_a_mean_over_places() -> None:
    groups = [group_row("act", "10", 0.01, 0.03, route) for route in ("here", "there")]
    told = dict(situations(study_record(comparison=[*groups, group_row("act", "all", 0.01, 0.03)]), {}))
    where = "act leads with +1.0 in the mean of 2 places."
    assert told["accuracy, full, 10 labels a class"] == f"nothing is surely better; {where}"


def test_a_study_says_where_mixtures_chose_an_end_and_of_how_many_runs() -> None:
    chosen = [("scratch", 0.0), ("scratch", 0.5), ("masked", 1.0), ("masked", 1.0), ("masked", 0.3)]
    cells = {cell.run: cell for seed, each in enumerate(chosen) for cell in [mixed(each[0], seed, each[1])]}
    study = study_record(
        cells=[cell_row(cell) for cell in cells.values()],
        pooled=[pooled_row("masked", 0.05, 0.01, "mixture"), pooled_row("masked", 0.02, 0.01, "full")],
        comparison=[{**group_row("masked", "all", 0.05, 0.01), "protocol": "mixture", "deviation": ""}],
    )
    (answer,) = answers(Material((study,), (study,), {}, {}, cells))
    assert answer.finding.endswith(
        " Mind that nothing is mixed where an end was chosen: under mixture in 3 of 5 runs."
    )
    told = (
        "An end was chosen, where nothing is mixed, by scratch in 1 of 2 runs (pretrained, coefficient 0),"
        " by masked in 2 of 3 runs (fine-tuned, coefficient 1)."
    )
    situation = dict(answer.situations)
    assert situation["accuracy, mixture"].endswith(f", over all routes and labels. {told}")
    assert situation["accuracy, full"].endswith(", over all routes and labels.")
    (table,) = route_tables(study, cells=cells)
    assert table.captions == (f"mixture: {told}",)


@pytest.mark.parametrize(("coefficient", "is_given"), [(0.5, False), (1.0, True)])
def test_nothing_is_said_of_mixtures_or_of_an_end_that_was_given(coefficient: float, is_given: bool) -> None:
    cell = mixed("masked", 0, coefficient, is_given=is_given)
    study = study_record(cells=[cell_row(cell)], pooled=[pooled_row("masked", 0.05, 0.01, "mixture")])
    told = " ".join([headline(study, {cell.run: cell}), *dict(situations(study, {cell.run: cell})).values()])
    assert "mixed" not in told
