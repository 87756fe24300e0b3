"""Corruptions: classifiers stand beside one another only where they met the same clouds."""

import json
from typing import Any

from pointlab.report.collect import Material
from pointlab.report.corruptions import corrupted_split, corruption_comparisons, corruption_tables
from pointlab.report.results import Group
from pointlab.storage import Record
from tiny_cells import page_of_studies, study

CORRUPTIONS = ("add_local", "jitter", "rotate", "scale")


def measured(
    name: str, level: float, split: str = "corrupted-test", suite: str = "5eed", seed: int = 0
) -> Record:
    """Accuracies that fall with severity, and from corruption to corruption."""
    accuracies = {
        corruption: {severity: level - 0.1 * place - 0.02 * severity for severity in (1, 2)}
        for place, corruption in enumerate(CORRUPTIONS)
    }
    metrics = {
        f"{split}/{corruption}/{severity}/accuracy": value
        for corruption, by_severity in accuracies.items()
        for severity, value in by_severity.items()
    }
    metrics |= {f"{split}/{name}/accuracy": sum(values.values()) / 2 for name, values in accuracies.items()}
    metrics[f"{split}/mOA"] = level - 0.18
    note = "validation suite hash" if split == "corrupted-validation" else "suite hash"
    return Record(
        run=f"{name}-0123456789-s{seed}",
        kind="transfer",
        name=name,
        seed=seed,
        protocol="full",
        config={},
        code_version="",
        metrics=metrics,
        notes={"suite": "modelnet_c", note: suite},
    )


def on_a_page(*records: Record) -> Material:
    return Material(records, records, {}, {})


def traces_of(markup: str) -> list[dict[str, Any]]:
    start = markup.index("[", markup.index("Plotly.newPlot("))
    found: list[dict[str, Any]] = json.JSONDecoder().raw_decode(markup, start)[0]
    return found


def test_transfers_on_the_same_clouds_are_set_beside_one_another() -> None:
    (found,) = corruption_comparisons(on_a_page(measured("first", 0.9), measured("second", 0.8)))
    assert found.columns == ("first", "second")
    cells = {name: [cell.replace("\N{NO-BREAK SPACE}", " ") for cell in row] for name, row in found.rows}
    assert cells["jitter"] == ["77.0 %", "67.0 %"]
    assert cells["mean (mOA)"] == ["72.0 %", "62.0 %"]


def test_other_clouds_are_apart() -> None:
    """Another suite hash, or the validation split in the place of test."""
    records = measured("first", 0.9), measured("second", 0.8, suite="0ther")
    validated = measured("third", 0.7, split="corrupted-validation")
    found = corruption_comparisons(on_a_page(*records, validated))
    assert [one.columns for one in found] == [("first",), ("second",), ("third",)]
    assert all(one.rows == () for one in found)


def test_what_has_habits_of_released_code_is_apart() -> None:
    """It has chosen on test."""
    legacy = measured("second", 0.8).model_copy(update={"protocol": "legacy/full"})
    found = corruption_comparisons(on_a_page(measured("first", 0.9), legacy))
    assert [one.columns for one in found] == [("first",), ("second",)]


def test_cells_of_one_title_have_a_column_each() -> None:
    """Equal start and protocol, and stamps that differ."""
    first, other = measured("full", 0.9), measured("full", 0.8, seed=1)
    cells = (first, other.model_copy(update={"protocol": "full/again"}))
    (found,) = corruption_comparisons(page_of_studies(study("study", *cells)))
    assert found.columns == tuple(f"here, full, {each.run}" for each in cells)


def test_classifiers_of_two_studies_are_apart_though_all_their_names_are_equal() -> None:
    first, other = (
        measured("full", 0.9),
        measured("full", 0.8).model_copy(update={"run": "full-9876543210-s0"}),
    )
    found = corruption_comparisons(page_of_studies(study("one", first), study("two", other)))
    assert [one.title for one in found] == [f"{name}: there, small, all labels" for name in ("one", "two")]
    rings = [traces_of(picture.markup)[0]["r"][0] for one in found for picture in one.pictures]
    assert rings == [87, 77]


def test_a_radar_has_an_axis_for_each_corruption_and_closes() -> None:
    (found,) = corruption_comparisons(on_a_page(measured("first", 0.9)))
    ((line,),) = (traces_of(picture.markup) for picture in found.pictures)
    assert line["theta"] == ["add local", "jitter", "rotate", "scale", "add local"]
    assert line["r"] == [87, 77, 67, 57, 87]


def test_seeds_are_one_line_and_one_column() -> None:
    records = [measured("first", level, seed=seed) for seed, level in enumerate((0.9, 0.8, 0.7))]
    (table,) = corruption_tables(on_a_page(*records))
    assert dict(table.rows)["add_local"][2].startswith("77.0 ± 10.0")
    (found,) = corruption_comparisons(on_a_page(*records))
    assert found.columns == ("first",)
    assert traces_of(found.pictures[0].markup)[0]["r"][0] == 77


def test_classes_with_a_slash_are_no_corruptions() -> None:
    record = measured("first", 0.9).model_copy(
        update={"metrics": {"test/iou/chair/leg": 0.5, "test/accuracy": 0.5, "trials": 3.0}}
    )
    assert corrupted_split(Group("first", "segmentation/full", (record,))) is None


def test_test_clouds_are_told_before_those_of_validation() -> None:
    both = measured("first", 0.9).metrics | measured("first", 0.9, "corrupted-validation").metrics
    record = measured("first", 0.9).model_copy(update={"metrics": both})
    assert corrupted_split(Group("first", "full", (record,))) == "corrupted-test"
