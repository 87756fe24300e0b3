"""Tables for a paper on corruptions, few labels and single runs hold the figures of their records."""

from typing import Any

import pytest

from pointlab.report.paper.run_tables import run_tables
from pointlab.report.paper.tables import PaperTable
from pointlab.storage import Record
from tiny_cells import page_of_studies, study


def record(name: str, seed: int, **settings: Any) -> Record:
    defaults = {"kind": "transfer", "protocol": name, "config": {}, "code_version": ""}
    run = f"{name}-0123456789-s{seed}"
    return Record.model_validate({"run": run, "name": name, "seed": seed, **defaults, **settings})


def corrupted(name: str, seed: int, scale: float) -> Record:
    metrics = {"corrupted-test/mOA": scale, "corrupted-test/scale/accuracy": scale}
    severe = {"corrupted-test/scale/1/accuracy": scale}
    return record(name, seed, metrics=metrics | severe, notes={"suite hash": "5eed"})


def few_shot(name: str, seed: int, accuracy: float) -> Record:
    stamp = "few_shot/5-way-10-shot/linear"
    metrics = {"test/accuracy": accuracy, "test/accuracy_std": 0.125}
    folds: list[dict[str, float]] = [{"test/accuracy": accuracy - 0.1}, {"test/accuracy": accuracy + 0.1}]
    return record(name, seed, protocol=stamp, metrics=metrics, curves={"folds": folds})


@pytest.fixture
def tables() -> dict[str, PaperTable]:
    """Of a study whose cells are two classifiers under corruptions, and two few-shot settings."""
    cells = [corrupted("full", 0, 0.5), corrupted("full", 1, 0.75), corrupted("probe", 0, 0.5)]
    few = [few_shot("first", 0, 0.5), few_shot("first", 1, 0.75), few_shot("second", 0, 0.5)]
    return {table.name: table for table in run_tables(page_of_studies(study("study-0", *cells, *few)))}


def lines_of(table: PaperTable) -> list[str]:
    return [line.strip() for line in table.as_latex().splitlines() if line.endswith(r"\\")]


def test_classifiers_stand_below_one_another_under_each_corruption(tables: dict[str, PaperTable]) -> None:
    assert lines_of(tables["corruptions-0"]) == [
        r"Classifier & scale & mean (mOA) \\",
        r"here, full & $\mathbf{62.5} \pm 17.7$ & $\mathbf{62.5} \pm 17.7$ \\",
        r"here, probe & $50.0$ & $50.0$ \\",
    ]
    assert tables["corruptions-0"].numbers[0] == {
        "classifier": "here, full",
        "corruption": "scale",
        "mean": 0.625,
        "deviation": pytest.approx(0.125 * 2**0.5),
        "seeds": 2.0,
    }


def test_few_shot_figures_have_both_deviations(tables: dict[str, PaperTable]) -> None:
    head, *lines = lines_of(tables["few-shot-0"])
    assert head == r"Setting & Head & Start & Accuracy & Over seeds \\"
    assert [line.split(" & ")[3:] for line in lines] == [
        [r"$\mathbf{62.5} \pm 12.5$", r"$17.7$ \\"],
        [r"$50.0 \pm 12.5$", r"-- \\"],
    ]
    assert [row["seeds"] for row in tables["few-shot-0"].numbers] == [2.0, 1.0]


def test_a_single_run_has_all_its_metrics() -> None:
    alone = record("alone", 0, metrics={"test/accuracy": 0.5, "test/loss": 1.2345})
    material = page_of_studies((alone, ()))
    (table,) = run_tables(material)
    assert [line.rpartition(" & ")[2] for line in lines_of(table)[1:]] == [r"$50.0$ \\", r"$1.234$ \\"]
    assert [row["mean"] for row in table.numbers] == [0.5, 1.2345]
