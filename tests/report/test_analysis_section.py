"""The section of an analysis says in words and plots what the record's tables say in numbers."""

import math
from typing import Any

import pytest

from pointlab.report.analysis import MAPS_AT_ONCE, AnalysisSection, analysis_sections
from pointlab.report.analysis_findings import headline
from pointlab.report.collect import Material
from pointlab.report.embedding import class_colours
from pointlab.report.layers import read_layers
from pointlab.report.similarity import Similarity, similarity_pictures
from pointlab.storage import Record

Rows = list[dict[str, float | str]]
STAGES = ("first", "second")
CLASSES = ("bed", "<b>chair</b>")
SHOWN: Rows = [
    {"split": "train", "clouds": 300, "classes": 5},
    {"split": "validation", "clouds": 100, "classes": 5},
]


def stage_rows(subject: str, *, started_as: str = "", gradient: float = 1.0, head: str = "fresh") -> Rows:
    return [
        {
            "subject": subject,
            "stage": stage,
            "depth": depth,
            "width": 16,
            "channels": 32,
            "linear_accuracy": 0.5 + 0.2 * depth,
            "knn_accuracy": 0.4,
            "normal_error": 30.0 + depth,
            "gradient_norm": gradient / (1 + depth),
            "head": head,
            "drift": 0.1 * (1 + depth) if started_as else "",
            "started_as": started_as,
            "rankme": 4.25,
        }
        for depth, stage in enumerate(STAGES)
    ]


def bare_rows(subject: str) -> Rows:
    return [
        {name: row[name] for name in ("subject", "stage", "depth", "width")} for row in stage_rows(subject)
    ]


def cka_rows(subjects: list[str]) -> Rows:
    return [
        {
            "subject_a": a,
            "stage_a": up,
            "subject_b": b,
            "stage_b": right,
            "value": 1.0 if (a, up) == (b, right) else 0.25 if up == "second" else 0.75,
        }
        for row, a in enumerate(subjects)
        for b in subjects[row:]
        for up in STAGES
        for right in STAGES
    ]


def drawn_rows(subjects: list[str], stages: tuple[str, ...] = ("second",)) -> Rows:
    return [
        {"subject": subject, "stage": stage, "x": 1.0, "y": 2.0, "class": name, "id": "7"}
        for subject in subjects
        for stage in stages
        for name in CLASSES
    ]


def record_of(stages: Rows, **changes: Any) -> Record:
    subjects = list(dict.fromkeys(str(row["subject"]) for row in stages))
    settings: dict[str, Any] = {
        "run": "an-0123456789-s0",
        "kind": "analyse",
        "name": "an",
        "seed": 0,
        "protocol": "analysis/validation",
        "config": {},
        "code_version": "0",
        "curves": {
            "stages": stages,
            "cka": cka_rows(subjects),
            "embedding": drawn_rows(subjects),
            "shown": SHOWN,
        },
    }
    return Record(**settings | changes)


def section_of(record: Record) -> AnalysisSection:
    (section,) = analysis_sections(Material((record,), (record,), {}, {}))
    return section


@pytest.fixture
def pair() -> Record:
    """A transfer before and after, its early gradients ten times as large before."""
    return record_of([*stage_rows("x-before", gradient=10.0), *stage_rows("x-after", started_as="x-before")])


def test_the_headline_tells_how_sure_accuracies_are_and_compares_early_gradients(pair: Record) -> None:
    gap = "\N{NO-BREAK SPACE}"
    assert headline(pair) == (
        f"Linear accuracy reaches 70.0{gap}% (95{gap}%: 60 to 78) in x-before, at second and"
        f" 70.0{gap}% (95{gap}%: 60 to 78) in x-after, at second; the first stage of x-before has 10 times"
        " the gradient norm of that of x-after."
    )


def test_no_peak_is_named_among_stages_within_the_interval(pair: Record) -> None:
    few = pair.model_copy(update={"curves": {**pair.curves, "shown": [{**SHOWN[1], "clouds": 10}]}})
    assert "in x-after, at first and no lower at second" in headline(few)


@pytest.mark.parametrize("kind", ["own", ""])
def test_gradients_compare_through_fresh_heads_alone(kind: str) -> None:
    after = stage_rows("x-after", started_as="x-before", gradient=5.0, head=kind)
    own = "in x-before, first has 2 times the gradient norm of second."
    assert headline(record_of([*stage_rows("x-before"), *after])).endswith(own)


def test_of_equal_gradients_nothing_is_said() -> None:
    assert "gradient" not in headline(record_of([*stage_rows("x"), *stage_rows("y")]))
    alone = stage_rows("x")[:1]
    assert "gradient" not in headline(record_of(alone, curves={"stages": alone}))


def test_the_level_of_guessing_is_drawn_for_as_many_classes_as_were_shown(pair: Record) -> None:
    accuracy = section_of(pair).depth[0].markup
    assert '"y0":20.0' in accuracy
    assert "guessing" in accuracy


def test_cka_by_stage_shows_fine_tunings_and_the_first_subject_with_the_others_alone() -> None:
    names = ("first", "x-before", "x-after", "y")
    starts = {"x-after": "x-before"}
    record = record_of([row for name in names for row in stage_rows(name, started_as=starts.get(name, ""))])
    pictures, _ = similarity_pictures("an", read_layers(record), Similarity(record))
    lines = pictures[0].markup
    for pair in ("x-before and x-after", "first and x-before", "first and x-after", "first and y"):
        assert pair in lines
    assert lines.count('"showlegend":false') == 4
    assert "x-before and y" not in lines


def test_gradients_and_stages_of_different_networks_are_not_compared_by_name() -> None:
    other = [{**row, "stage": f"{row['stage']}-layer"} for row in stage_rows("y", gradient=4650.4)]
    rows = [*stage_rows("x", gradient=4650.4), *other]
    record = record_of(rows, curves={"stages": rows, "cka": cka_rows(["x"])})
    assert headline(record).endswith("in x, first has 2 times the gradient norm of second.")
    (within,) = section_of(record).similarity
    assert within.caption.startswith("Within x")
    again = record_of([*stage_rows("x", gradient=4650.4), *stage_rows("y")])
    assert "the first stage of x has 4,650 times" in headline(again)


def test_findings_tell_of_normals_of_drift_and_of_what_changed(pair: Record) -> None:
    assert section_of(pair).findings == (
        "Normals are read best from first of x-before: 30.0° off (guessing: 57.3°).",
        "Fine-tuning moved second of x-after most (20.0\N{NO-BREAK SPACE}% of its norm) and first least"
        " (10.0\N{NO-BREAK SPACE}%).",
        "From x-before to x-after, second changed most: its CKA with itself is 0.25.",
    )


def test_a_measure_that_was_not_taken_has_no_plot_no_column_and_no_sentence() -> None:
    bare = bare_rows("x")
    section = section_of(record_of(bare, curves={"stages": bare}))
    assert (section.depth, section.similarity, section.embedding, section.findings) == ([], [], [], ())
    assert [column.heading for column in section.stages.columns] == ["Subject", "Stage", "Width"]
    assert section.parameters.rows == ()
    assert headline(record_of(bare, curves={"stages": bare})).startswith("Neither")


def test_tables_hold_every_stage_in_units_that_a_reader_wants(pair: Record) -> None:
    table = section_of(pair).stages
    headings = [column.heading for column in table.columns]
    assert headings[:5] == ["Subject", "Stage", "Width", "Channels", "Linear"]
    last = dict(zip(headings, table.rows[-1], strict=True))
    assert last["Linear"] == "70.0\N{NO-BREAK SPACE}%"
    assert (last["Normal error"], last["Gradient"], last["RankMe"]) == ("31.0°", "0.5", "4.2")
    assert dict(zip(headings, table.rows[0], strict=True))["Drift"] == ""


def test_cka_is_found_whichever_stage_comes_first(pair: Record) -> None:
    similarity = Similarity(pair)
    ends = ("x-before", "second"), ("x-after", "first")
    assert similarity.of(*ends) == similarity.of(*ends[::-1]) == 0.25
    assert similarity.of(("x-before", "second"), ("nobody", "first")) is None


def test_all_maps_of_four_subjects_are_shown_at_once_and_more_are_folded() -> None:
    assert math.comb(4, 2) == MAPS_AT_ONCE
    names = [f"s{number}" for number in range(5)]
    rows = [row for name in names for row in bare_rows(name)]
    section = section_of(record_of(rows, curves={"stages": rows, "cka": cka_rows(names)}))
    assert len(section.similarity) == 1 + 5 + MAPS_AT_ONCE
    assert len(section.folded_similarity) == math.comb(5, 2) - MAPS_AT_ONCE


def test_the_deepest_drawing_is_shown_and_earlier_ones_are_folded() -> None:
    rows = stage_rows("x")
    record = record_of(rows, curves={"stages": rows, "embedding": drawn_rows(["x"], STAGES)})
    section = section_of(record)
    assert [picture.caption for picture in section.embedding] == ["x, second"]
    assert [picture.caption for picture in section.folded_embedding] == ["x, first"]
    assert [name for name, _ in section.classes] == sorted(CLASSES)
    assert "&lt;b&gt;chair" in section.embedding[0].markup
    assert "<b>" not in section.embedding[0].markup


@pytest.mark.parametrize("num_classes", [8, 40])
def test_every_class_has_a_colour_of_its_own(num_classes: int) -> None:
    rows: Rows = [{**drawn_rows(["x"])[0], "class": f"c{number}"} for number in range(num_classes)]
    colours = class_colours(record_of(stage_rows("x"), curves={"stages": stage_rows("x"), "embedding": rows}))
    assert len(set(colours.values())) == num_classes
