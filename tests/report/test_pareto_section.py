"""Planes of two figures: what the front has on it, and what is not compared at all."""

import json
from typing import Any

import pytest

from pointlab.report.collect import Material
from pointlab.report.pareto import study_planes
from pointlab.report.search_front import front_pictures
from pointlab.report.trials import trial_tables
from pointlab.storage import Record
from tiny_cells import page_of_studies, study

ROBUST = "corrupted-test/mOA"


def cell(protocol: str, target: float, robust: float, seed: int = 0, stamp: str = "") -> Record:
    return Record(
        run=f"{protocol}-0123456789-s{seed}",
        kind="transfer",
        name=protocol,
        seed=seed,
        protocol=stamp or protocol,
        config={},
        code_version="",
        metrics={"test/accuracy": target, ROBUST: robust},
    )


def material_of(*cells: Record) -> Material:
    return page_of_studies(study("study", *cells))


def traces_of(markup: str) -> list[dict[str, Any]]:
    start = markup.index("[", markup.index("Plotly.newPlot("))
    found: list[dict[str, Any]] = json.JSONDecoder().raw_decode(markup, start)[0]
    return found


def test_the_front_has_what_no_other_beats_on_both() -> None:
    cells = (cell("full", 0.9, 0.4), cell("probe", 0.7, 0.6), cell("mixed", 0.8, 0.5), cell("bad", 0.7, 0.5))
    ((title, (plane,)),) = study_planes(material_of(*cells))
    front, *points = traces_of(plane.markup)
    assert title == "there, small, all labels"
    assert list(zip(front["x"], front["y"], strict=True)) == [(70, 60), (80, 50), (90, 40)]
    assert [point["name"] for point in points] == ["full", "probe", "mixed", "bad"]


def test_points_are_means_over_seeds_with_their_intervals() -> None:
    cells = [cell("full", 0.5 + 0.01 * seed, 0.4, seed) for seed in range(3)]
    ((_, (plane,)),) = study_planes(material_of(*cells, cell("probe", 0.5, 0.5)))
    point = next(trace for trace in traces_of(plane.markup) if trace.get("name") == "full")
    assert (point["x"], point["y"]) == ([51], [40])
    half = 4.302652729749464 * 1 / 3**0.5  # Student's quantile of two degrees, and the error of the mean
    assert point["error_x"]["array"] == pytest.approx([half], abs=0.01)
    assert point["error_y"]["array"] == [0]  # the seeds are equal there, which says nothing of their spread


@pytest.mark.parametrize("stamp", ["few_shot/5-way-10-shot/linear", "legacy/full"])
def test_folds_and_what_was_chosen_on_test_are_not_compared(stamp: str) -> None:
    cells = cell("full", 0.9, 0.4), cell("probe", 0.7, 0.6)
    ((_, (plane,)),) = study_planes(material_of(*cells, cell("other", 1.0, 1.0, stamp=stamp)))
    assert "other" not in plane.markup


def test_who_met_other_corrupted_clouds_has_a_plane_of_its_own() -> None:
    cells = [
        cell(f"{protocol}-{suite}", level, level).model_copy(update={"notes": {"suite hash": suite}})
        for suite, level in (("5eed", 0.5), ("0ther", 0.7))
        for protocol in ("full", "probe")
    ]
    ((_, planes),) = study_planes(material_of(*cells))
    points = [[trace["x"] for trace in traces_of(plane.markup)[1:]] for plane in planes]
    assert points == [[[50], [50]], [[70], [70]]]
    assert ["5eed" in plane.caption for plane in planes] == [True, False]


def test_validation_clouds_of_another_suite_are_other_clouds() -> None:
    cells = [cell(name, 0.5, 0.5) for name in ("full", "probe", "mixed")]
    figures = {"validation/accuracy": 0.5, "corrupted-validation/mOA": 0.5}
    noted = [
        each.model_copy(update={"metrics": figures, "notes": {"validation suite hash": suite}})
        for each, suite in zip(cells, ("5eed", "5eed", "0ther"), strict=True)
    ]
    ((_, (plane,)),) = study_planes(material_of(*noted))
    assert [trace["name"] for trace in traces_of(plane.markup)[1:]] == ["full", "probe"]


def test_two_studies_have_planes_of_their_own_under_the_same_names() -> None:
    one = [cell("full", 0.9, 0.4), cell("probe", 0.7, 0.6)]
    two = [
        each.model_copy(update={"run": f"two-{each.run}", "metrics": {"test/accuracy": 0.5, ROBUST: 0.5}})
        for each in one
    ]
    found = study_planes(page_of_studies(study("first", *one), study("second", *two)))
    assert [title for title, _ in found] == [
        f"{name}: there, small, all labels" for name in ("first", "second")
    ]
    points = [[trace["x"] for trace in traces_of(plane.markup)[1:]] for _, (plane,) in found]
    assert points == [[[90], [70]], [[50], [50]]]


def test_a_single_point_has_nothing_to_be_compared_with() -> None:
    assert study_planes(material_of(cell("full", 0.9, 0.4))) == []


def search(*objectives: str) -> Record:
    figures = [(0.9, 0.5), (0.7, 0.7), (0.6, 0.6)]
    names = ("validation/accuracy", "corrupted-validation/mOA")
    rows: list[dict[str, float | str]] = [
        {
            "trial": float(number),
            "training.epochs": 4.0,
            **dict(zip(names, values, strict=True)),
            "score": 0.5,
            "coefficient": "",
            "epochs": 4.0,
            "samples": 64.0,
            "seconds": 2.0,
            "outcome": "finished",
            "run": f"trial-{number}",
        }
        for number, values in enumerate(figures)
    ]
    front = [{**rows[0], "recommended": "yes"}, {**rows[1], "recommended": ""}]
    return Record(
        run="search-0123456789-s0",
        kind="search",
        name="search",
        seed=0,
        protocol="full/search-3",
        config={"objectives": [{"metric": name, "direction": "maximise"} for name in objectives]},
        code_version="",
        curves={"trials": rows, "pareto": front if len(objectives) > 1 else []},
        notes={"recommendation": "a rule", "chosen trial": "trial-0"},
    )


def test_a_search_of_two_objectives_shows_its_front_and_what_it_recommends() -> None:
    (plane,) = front_pictures("front", search("validation/accuracy", "corrupted-validation/mOA"))
    others, front, ring = traces_of(plane.markup)
    assert (others["x"], others["y"]) == ([60], [60])
    assert (front["x"], front["y"]) == ([70, 90], [70, 50])
    assert (ring["x"], ring["y"]) == ([90], [50])
    assert "a rule" in plane.caption


def test_a_search_of_one_objective_has_no_front() -> None:
    assert list(front_pictures("front", search("validation/accuracy"))) == []


def test_the_table_of_trials_tells_every_objective() -> None:
    record = search("validation/accuracy", "corrupted-validation/mOA")
    (table,) = trial_tables(Material((record,), (record,), {}, {}))
    assert table.columns[1:3] == ("validation: accuracy", "corrupted validation: mOA")
    best = next(row for row in table.rows if row[-1] == "trial-0")
    assert [cell.replace("\N{NO-BREAK SPACE}", " ") for cell in best[1:3]] == ["90.0 %", "50.0 %"]
