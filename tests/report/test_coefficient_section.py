"""Coefficient curves: means and intervals over seeds, and each sweep once, whoever measured it."""

import json
import re
from typing import Any

import numpy as np
import pytest

from pointlab.report.coefficients import coefficient_sections
from pointlab.report.collect import Material
from pointlab.report.sweeps import read_sweep, unite_equal
from pointlab.storage import Record
from tiny_cells import page_of_studies, study

QUANTILE = 4.302652729749464
"""Of Student's distribution at 0.975, two degrees of freedom: x = sqrt(a^2 / (2 (1 - a^2))) * 2, a = 0.95."""
SEEDS = (0.50, 0.56, 0.53)
"""Accuracies of three seeds at the middle of the grid."""


def mixed(method: str, seed: int, coefficient: float = 0.5, splits: tuple[str, ...] = ("target",)) -> Record:
    """A run that has swept both methods; WiSE-FT is worse by a tenth everywhere."""
    rows: list[dict[str, float | str]] = [
        {
            "coefficient": at,
            "method": each,
            **{f"{split}-validation/accuracy": SEEDS[seed] - lead + 0.1 * at for split in splits},
        }
        for at in (0.0, 0.5, 1.0)
        for each, lead in (("wise_ft", 0.1), ("wise_ft_lp", 0.0))
    ]
    return Record(
        run=f"{method}-0123456789-s{seed}",
        kind="transfer",
        name=method,
        seed=seed,
        protocol=method,
        config={},
        code_version="",
        curves={"coefficients": rows},
        metrics={"selection/coefficient": coefficient},
    )


def study_of(cells: dict[str, list[Record]]) -> Material:
    """A study whose cells, by protocol, start from one backbone."""
    named = [
        record.model_copy(update={"name": protocol})
        for protocol, records in cells.items()
        for record in records
    ]
    return page_of_studies(study("study", *named))


def traces_of(markup: str) -> list[dict[str, Any]]:
    start = markup.index("[", markup.index("Plotly.newPlot("))
    found: list[dict[str, Any]] = json.JSONDecoder().raw_decode(markup, start)[0]
    return found


def test_bands_are_students_intervals_of_the_means() -> None:
    records = tuple(mixed("wise_ft_lp", seed) for seed in range(3))
    (section,) = coefficient_sections(Material(records, records, {}, {}))
    assert section.runs == tuple(record.run for record in records)
    traces = traces_of(section.pictures[0].markup)
    (band,) = (trace for trace in traces if trace.get("fill") == "toself")
    line = next(trace for trace in traces if trace.get("name") == "target, WiSE-FT-LP")
    mean = np.mean(SEEDS) + 0.05
    half = QUANTILE * np.std(SEEDS, ddof=1) / np.sqrt(3)
    assert line["y"][1] == pytest.approx(100 * mean, abs=0.01)
    assert (band["x"][1], band["x"][4]) == (0.5, 0.5)
    assert (band["y"][1], band["y"][4]) == pytest.approx((100 * (mean - half), 100 * (mean + half)), abs=0.01)


def test_bounds_stay_among_shares() -> None:
    records = tuple(mixed("wise_ft_lp", seed) for seed in range(3))
    rows = [dict(row) for row in records[0].curves["coefficients"]]
    for row in rows:
        row["target-validation/accuracy"] = 1.0
    first = records[0].model_copy(update={"curves": {"coefficients": rows}})
    point = read_sweep([first, *records[1:]]).by_method["wise_ft_lp"][0]
    assert point.bounds("target")[1] == 1.0


def test_one_seed_has_a_line_and_no_band() -> None:
    record = mixed("wise_ft_lp", 0)
    (section,) = coefficient_sections(Material((record,), (record,), {}, {}))
    assert all(trace.get("fill") is None for trace in traces_of(section.pictures[0].markup))
    assert "seeds" not in section.pictures[0].caption


def test_a_single_mixture_was_given_and_not_chosen() -> None:
    record = mixed("wise_ft_lp", 0)
    rows = [row for row in record.curves["coefficients"] if row["coefficient"] == 0.5]
    told = record.model_copy(update={"curves": {"coefficients": rows}})
    (section,) = coefficient_sections(Material((told,), (told,), {}, {}))
    assert "The given one has" in section.pictures[0].caption
    (annotation,) = section.pictures[0].figure.layout.annotations
    assert annotation.text == "given: 0.5"


def test_there_is_a_plane_for_each_way_of_making_the_target_harder() -> None:
    record = mixed("wise_ft_lp", 0, splits=("target", "shifted", "corrupted"))
    (section,) = coefficient_sections(Material((record,), (record,), {}, {}))
    _, *planes = section.pictures
    assert [
        bool(re.search(rf"{split} validation accuracy", plane.markup))
        for split, plane in zip(("shifted", "corrupted"), planes, strict=True)
    ] == [True, True]


def test_methods_of_one_fine_tuning_share_a_sweep_and_keep_their_own_choices() -> None:
    probed, plain = (
        [mixed(m, seed, at) for seed in (0, 1)] for m, at in (("wise_ft_lp", 0.5), ("wise_ft", 1.0))
    )
    sections = coefficient_sections(study_of({"again": probed, "plain": plain}))
    assert [section.title for section in sections] == ["here: there, small, all labels"]
    (one,) = unite_equal([read_sweep(probed), read_sweep(plain)])
    assert one.own == ("wise_ft_lp", "wise_ft")
    chosen = {method: {choice.coefficient for choice in one.chosen_by(method)} for method in one.own}
    assert chosen == {"wise_ft_lp": {0.5}, "wise_ft": {1.0}}
    captions = [picture.caption for picture in sections[0].pictures]
    means = [f"{100 * (np.mean(SEEDS[:2]) + gain):.1f}" for gain in (0.05, 0.0)]
    for caption, mean in zip(captions, means, strict=True):
        assert f"have {mean}\N{NO-BREAK SPACE}% (target) in the mean" in caption


def test_sweeps_of_one_start_are_told_apart_by_their_protocols_and_name_their_runs() -> None:
    """Such as one by depth and one by Fisher information, whose mixtures differ."""
    cells = {"by-depth": [mixed("wise_ft_lp", 0)], "by-fisher": [mixed("wise_ft", 1)]}
    sections = coefficient_sections(study_of(cells))
    places = "there, small, all labels"
    assert [one.title for one in sections] == [f"here, by {name}: {places}" for name in ("depth", "fisher")]
    assert [one.runs for one in sections] == [tuple(each.run for each in found) for found in cells.values()]


def test_sweeps_that_measured_otherwise_are_not_shared() -> None:
    probed, plain = [mixed("wise_ft_lp", 0)], [mixed("wise_ft", 1)]
    assert len(unite_equal([read_sweep(probed), read_sweep(plain)])) == 2


def test_a_plane_names_no_end_that_is_not_on_the_grid() -> None:
    record = mixed("wise_ft_lp", 0, splits=("target", "shifted"))
    rows = [row for row in record.curves["coefficients"] if row["coefficient"] != 0.0]
    (section,) = coefficient_sections(
        Material((), (record.model_copy(update={"curves": {"coefficients": rows}}),), {}, {})
    )
    names = [trace.get("name") for trace in traces_of(section.pictures[1].markup)]
    assert "fine-tuned" in names
    assert "pretrained" not in names
