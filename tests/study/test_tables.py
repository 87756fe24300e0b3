"""Figures are compared within their backbone, route, protocol, labels and seed, and with nothing else."""

import itertools
from dataclasses import replace

import pytest
from rich.console import Console

from pointlab.cli.plans import table_of_findings
from pointlab.experiment.matrix import Levels
from pointlab.report.collect import Material
from pointlab.report.study import study_sections
from pointlab.report.study_finding import study_finding
from pointlab.study.comparison import Measured, comparison, pooled
from pointlab.study.words import words_of_cells
from study_records import study_record

GAIN = {"scratch": 0.0, "good": 0.1, "bad": -0.1}


def measured(seeds: int = 3, *, share: bool = False) -> list[Measured]:
    """Every start gains the same everywhere but for a little by seed; groups themselves differ by more.

    Routes have a pretraining each, unless they `share` one.
    """
    cells = []
    for start, route, protocol, labels, seed in itertools.product(
        GAIN, ("near", "far"), ("probe", "full"), (None, 5), range(seeds)
    ):
        level = 0.3 + 0.2 * (route == "near") + 0.1 * (protocol == "full") - 0.1 * (labels == 5) + 0.01 * seed
        wobble = 0.004 * seed if start != "scratch" else 0.0
        levels = Levels(start, "patches", route, protocol, labels, seed)
        pretraining = "" if start == "scratch" else f"{start}-{'' if share else route}-{seed}"
        cells.append(Measured(levels, "test/accuracy", level + GAIN[start] + wobble, pretraining))
    return cells


def test_each_group_is_compared_with_the_baselines_own() -> None:
    rows = list(comparison(measured(), "scratch"))
    assert len(rows) == 3 * 2 * 2 * 2
    for row in rows:
        if row["start"] == "scratch":
            assert (row["difference"], row["low"], row["pairs"]) == ("", "", 0.0)
        else:
            assert row["difference"] == pytest.approx(GAIN[str(row["start"])] + 0.004)
            assert row["pairs"] == 3.0
            assert float(row["low"]) < float(row["difference"]) < float(row["high"])


def test_pooled_differences_are_over_routes_labels_and_seeds_and_never_over_protocols() -> None:
    rows = list(pooled(measured(), "scratch"))
    assert [(row["start"], row["protocol"]) for row in rows] == list(
        itertools.product(("good", "bad"), ("probe", "full"))
    )
    for row in rows:
        assert row["difference"] == pytest.approx(GAIN[str(row["start"])] + 0.004)
        assert (row["pairs"], row["clusters"]) == (12.0, 6.0)  # two routes, three seeds, two label counts
        assert float(row["low"]) <= float(row["difference"]) <= float(row["high"])


def test_what_rests_on_one_pretrained_backbone_is_one_draw() -> None:
    """Routes that share their pretrainings add pairs and no certainty."""
    near = [cell for cell in measured(share=True) if cell.levels.route == "near"]
    alone, both = list(pooled(near, "scratch")), list(pooled(measured(share=True), "scratch"))
    assert [row["pairs"] for row in both] == [12.0] * 4
    for one, other in zip(alone, both, strict=True):
        assert one["clusters"] == other["clusters"] == 3.0
        assert (other["low"], other["high"]) == pytest.approx((one["low"], one["high"]))


def test_every_route_counts_alike_however_many_seeds_it_has() -> None:
    cells = [
        replace(cell, value=cell.value + (0.2 if cell.levels.start == "good" else 0.0))
        if cell.levels.route == "near"
        else cell
        for cell in measured()
        if cell.levels.route == "near" or cell.levels.seed < 2
    ]
    row = next(iter(pooled(cells, "scratch")))
    assert row["difference"] == pytest.approx(((0.1 + 0.004 + 0.2) + (0.1 + 0.002)) / 2)


def test_measures_are_compared_by_themselves() -> None:
    """A second measure, ten times the first, changes no row of it; without a cell it makes no row."""
    accuracy = measured()
    robustness = [
        replace(cell, measure="test/mOA", value=10 * cell.value)
        for cell in accuracy
        if cell.levels.route == "near"
    ]
    for table in (comparison, pooled):
        rows = list(table([*accuracy, *robustness], "scratch"))
        assert [row for row in rows if row["measure"] == "test/accuracy"] == list(table(accuracy, "scratch"))
        others = [row for row in rows if row["measure"] == "test/mOA"]
        assert others == list(table(robustness, "scratch"))
        assert all(row.get("route", "near") == "near" for row in others)


def test_a_cell_without_its_baseline_is_not_compared() -> None:
    cells = [cell for cell in measured() if cell.levels.start != "scratch" or cell.levels.route == "near"]
    assert all(row["pairs"] == 6.0 for row in pooled(cells, "scratch"))
    far = [row for row in comparison(cells, "scratch") if row["route"] == "far"]
    assert far
    assert all(row["difference"] == "" for row in far)


def test_the_answer_says_what_is_surely_better_or_worse_and_what_cannot_be_said() -> None:
    sure = study_record(measured())
    better = "Under probe, better: good +10.4 [+9.9, +10.9]; worse: bad -9.6 [-10.1, -9.1]."
    assert better in study_finding(sure)
    unsure = study_finding(study_record(measured(seeds=1)))
    assert "Under full, good comes first with +10.0 (no interval)" in unsure
    behind = [cell for cell in measured(seeds=1) if cell.levels.start != "good"]
    assert "Under probe, none is ahead; bad comes closest with -10.0" in study_finding(study_record(behind))
    together = sure.notes | {"all backbones": "over patches; of one seed is lonely"}
    assert "All backbones: over patches; of one seed is lonely." in study_finding(
        sure.model_copy(update={"notes": together})
    )
    assert study_finding(study_record([])).endswith("no start can be compared yet.")


def test_without_a_baseline_the_figures_are_told_and_why_they_are_not_compared() -> None:
    record = study_record([cell for cell in measured() if cell.levels.start == "good"])
    place = {"backbone": "patches", "route": "near", "protocol": "probe", "samples_per_class": "all"}
    record.curves["cells"].append({"start": "good", **place, "outcome": "finished", "run": "lost"})
    told = study_finding(record)
    assert "the baseline scratch is not among the cells, as `only` or `exclude` leave it out" in told
    assert all(f"under {protocol}, good " in told for protocol in ("probe", "full"))
    assert "yet" not in told
    screen = Console(width=500, record=True)
    screen.print(table_of_findings(record))
    text = screen.export_text()
    assert "near, 5 labelled training clouds of each class" in text
    assert "leave it out" in text
    record.curves["cells"][0]["start"] = "scratch"
    assert "at no place have scratch and all other starts a figure" in study_finding(record)


def test_tables_have_a_route_and_a_number_of_labels_each_and_mark_what_is_clear() -> None:
    record = study_record(measured())
    (section,) = study_sections(Material((record,), (record,), {}, {}))
    assert [table.title for table in section.tables] == [
        "near, all labels",
        "near, 5 labelled training clouds of each class",
        "far, all labels",
        "far, 5 labelled training clouds of each class",
    ]
    first = section.tables[0]
    assert first.columns == ("probe", "full")
    verdicts = {start: [cell.verdict for cell in cells if cell] for start, _, cells in first.rows}
    assert verdicts == {"scratch": ["", ""], "good": ["better"] * 2, "bad": ["worse"] * 2}
    assert section.note.startswith("20 of 20 intervals")
    assert (len(section.pictures), len(section.few_labels)) == (1, 4)


def test_tables_say_which_class_words_zero_shot_figures_rest_on() -> None:
    cells = [cell for cell in measured(seeds=1) if cell.levels.protocol == "probe"]
    notes = {"class words": "2 of 2 were read", "prompts": "3 of the set held_out", "ratio": "1, as set"}
    asks = {("good", "near"): notes, ("bad", "near"): notes, ("good", "far"): notes | {"class words": "none"}}
    record = study_record(cells)
    asked = [
        (
            cell.levels,
            record.model_copy(update={"notes": asks.get((cell.levels.start, cell.levels.route), {})}),
        )
        for cell in cells
    ]
    record.curves["words"] = words_of_cells(asked)
    (section,) = study_sections(Material((record,), (record,), {}, {}))
    told = {table.title.partition(",")[0]: table.captions for table in section.tables}
    near, far = told["near"], told["far"]
    assert near == (
        "probe of good, bad: Class words: 2 of 2 were read. Prompts: 3 of the set held_out. Ratio of text and"
        " image query: 1, as set.",
    )
    assert [caption.partition(" Prompts")[0] for caption in far] == ["probe of good: Class words: none."]
    assert section.pooled[0].captions == near + far


def with_another_backbone(cells: list[Measured], seeds: int) -> list[Measured]:
    """Beside these cells the same ones of another backbone with so many seeds, whose starts gain 0.1 more."""
    others = [
        replace(
            cell,
            levels=replace(cell.levels, backbone="other"),
            value=cell.value + (0.2 if cell.levels.start == "scratch" else 0.3),
            pretraining=cell.pretraining and f"other-{cell.pretraining}",
        )
        for cell in cells
        if cell.levels.seed < seeds
    ]
    return [*cells, *others]


@pytest.mark.parametrize(("seeds", "gain"), [(1, 0.1 + 0.004), (3, 0.1 + 0.004 + 0.05)])
def test_a_backbone_of_one_seed_is_told_by_itself_and_leaves_the_others_their_interval(
    seeds: int, gain: float
) -> None:
    rows = {
        (row["start"], row["backbone"]): row
        for row in pooled(with_another_backbone(measured(), seeds), "scratch")
        if row["protocol"] == "full"
    }
    together = rows["good", "all"]
    assert together["difference"] == pytest.approx(gain)
    assert float(together["low"]) > 0
    assert (rows["good", "other"]["low"] == "") == (seeds == 1)


def test_backbones_of_one_seed_each_are_pooled_all_the_same() -> None:
    rows = list(pooled(with_another_backbone(measured(seeds=1), seeds=1), "scratch"))
    together = next(row for row in rows if (row["start"], row["backbone"]) == ("good", "all"))
    assert (together["difference"], together["low"]) == (pytest.approx(0.1 + 0.05), "")
