"""A study's tables: every figure leads to its cells, failures stand in red, measures stand apart."""

from dataclasses import replace
from pathlib import Path

import pytest

from pointlab.experiment.matrix import Levels
from pointlab.report import build_report
from pointlab.report.collect import Material
from pointlab.report.study import study_sections
from pointlab.report.study_tables import CellText, pooled_tables, route_tables
from pointlab.storage import Record, open_storage, write_record
from pointlab.study.comparison import Measured, Row
from pointlab.study.ranking import agreement, ranking
from study_records import study_record

GAINS = {"scratch": 0.0, "masked": 0.1}
ROBUSTNESS = "corrupted-test/mOA"


def measured() -> list[Measured]:
    """Two starts, three seeds, two measures; the start gains, with a little spread."""
    accuracy = [
        Measured(
            Levels(start, "patches", "here", "full", None, seed),
            "test/accuracy",
            0.5 + gain + 0.01 * seed * (1 + gain),
            f"{start}-{seed}" if gain else "",
        )
        for start, gain in GAINS.items()
        for seed in range(3)
    ]
    return [*accuracy, *(replace(cell, measure=ROBUSTNESS, value=cell.value / 2) for cell in accuracy)]


def cell_row(start: str, seed: int, error: str = "", protocol: str = "full") -> Row:
    figures = {each.measure: each.value for each in measured() if place(each) == (start, seed)}
    return {
        "start": start,
        "backbone": "patches",
        "route": "here",
        "protocol": protocol,
        "samples_per_class": "all",
        "seed": float(seed),
        **(dict.fromkeys(figures, "") if error else figures),
        "outcome": "failed" if error else "finished",
        "error": error,
        "run": f"{start}-{protocol}-0123456789-s{seed}",
    }


def place(cell: Measured) -> tuple[str, int]:
    return cell.levels.start, cell.levels.seed


def cost_row(start: str, flops: float, teacher: float) -> Row:
    work = dict.fromkeys(("samples", "clouds", "steps", "seconds", "teacher_samples", "teacher_seconds"), 1.0)
    told = {"flops": flops, "teacher_flops": teacher}
    return {"start": start, "backbone": "patches", "route": "here", **work, **told}


@pytest.fixture
def study() -> Record:
    """All cells of `full` are finished; of `probe` the only one has failed."""
    cells = [cell_row(start, seed) for start in GAINS for seed in range(3)]
    return study_record(
        measured(),
        told="6 of 7 finished, 1 failed",
        cells=[*cells, cell_row("masked", 0, "the loss <is> not finite", "probe")],
        ranking=list(ranking(measured())),
        agreement=list(agreement(measured())),
        costs=[cost_row("scratch", 0.0, 0.0), cost_row("masked", 2e12, 5e12)],
    )


def text_at(study: Record, table: int, start: str, column: str) -> CellText | None:
    found = route_tables(study)[table]
    cells = next(cells for name, _, cells in found.rows if name == start)
    return cells[found.columns.index(column)]


def test_every_figure_leads_to_the_cells_of_its_seeds(study: Record) -> None:
    cell = text_at(study, 0, "masked", "full")
    assert cell is not None
    (section,) = study_sections(Material((study,), (study,), {}, {}))
    runs = {row.anchor: row.run for row in section.cells}
    assert [runs[anchor] for _, anchor in cell.seeds] == [f"masked-full-0123456789-s{n}" for n in range(3)]
    assert cell.number == pytest.approx(0.6 + 0.011)


def test_where_all_cells_failed_the_table_says_so_and_why(study: Record) -> None:
    cell = text_at(study, 0, "masked", "probe")
    assert cell is not None
    assert (cell.value, cell.number) == ("failed", None)
    assert [error for _, error in cell.failed] == ["the loss <is> not finite"]
    assert text_at(study, 0, "scratch", "probe") is None


def test_measures_have_tables_of_their_own(study: Record) -> None:
    titles = [table.title for table in route_tables(study)]
    assert titles == ["here, all labels, test accuracy", "here, all labels, accuracy under corruptions"]
    clean, corrupted = (text_at(study, number, "scratch", "full") for number in (0, 1))
    assert clean is not None
    assert corrupted is not None
    assert clean.number == pytest.approx(2 * (corrupted.number or 0.0))
    assert len(pooled_tables(study)) == 2


def test_costs_are_drawn_against_gains_with_teachers_as_hollow_points(study: Record) -> None:
    masked = {**study.curves["pooled"][0], "start": "other"}
    other = {**study.curves["costs"][1], "start": "other", "teacher_flops": 0.0}
    study.curves["pooled"].insert(1, masked)
    study.curves["costs"].append(other)
    (section,) = study_sections(Material((study,), (study,), {}, {}))
    (picture,) = section.cost_pictures
    assert '"x":[2000000000000.0,7000000000000.0]' in picture.markup  # alone, and with its teachers
    assert picture.markup.count("-open") == 1  # nothing is added where nothing is known to come on top
    study.curves["costs"][-1]["flops"] = ""
    (section,) = study_sections(Material((study,), (study,), {}, {}))
    assert "device seconds" in section.cost_pictures[0].markup  # what is not known of all is not drawn


def test_the_page_links_figures_to_cells_and_escapes_errors(study: Record, tmp_path: Path) -> None:
    store = open_storage(str(tmp_path))
    write_record(store, study)
    page = build_report(store, [study.run])
    assert 'href="#cell-study-0-3"' in page
    assert '<tr id="cell-study-0-3">' in page
    assert "the loss &lt;is&gt; not finite" in page
    assert "<is>" not in page
    assert "order the starts with a Kendall tau of 1.00" in page


def of_all_backbones(record: Record, **changes: float) -> Record:
    """With rows over all backbones, like those of the one there is but for the changes."""
    rows = record.curves["pooled"]
    curves = {**record.curves, "pooled": [{**row, "backbone": "all", **changes} for row in rows] + rows}
    notes = record.notes | {"all backbones": "over patches; of one seed is other"}
    return record.model_copy(update={"curves": curves, "notes": notes})


def test_the_pooled_table_says_which_backbones_all_of_them_are() -> None:
    record = study_record(measured())
    plain = pooled_tables(record)
    told = pooled_tables(of_all_backbones(record, pairs=99.0))
    for table, before in zip(told, plain, strict=True):
        assert table.captions == ("All backbones: over patches; of one seed is other.", *before.captions)
        assert {backbone for _, backbone, _ in table.rows} > {backbone for _, backbone, _ in before.rows}


def test_what_is_of_one_backbone_is_not_told_again_as_of_all() -> None:
    record = study_record(measured())
    assert pooled_tables(of_all_backbones(record)) == pooled_tables(record)
