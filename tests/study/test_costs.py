"""Every row of a study says what it took, and what all that it rests on took, each run told once."""

from typing import Any

import pytest

from pointlab.experiment import PretrainExperiment
from pointlab.storage import Record, Storage
from pointlab.study.costs import ancestors, costs, costs_of_cell, work_of
from pointlab.study.planning import Plan
from study.test_ancestors import ACT, TAUGHT, act_study, plan_of
from tiny_study import tiny_study


def record_of(run: str, plan: Plan) -> Record:
    """What a run of so many samples, operations and seconds leaves."""
    experiment = plan.steps[run].resolved.experiment
    made = {"run": run, "kind": experiment.kind, "name": experiment.name, "seed": experiment.seed}
    spent = {"samples_seen": 64, "flops": 1000.0, "device_seconds": 2.0}
    return Record(**made, protocol="", config={}, code_version="", **spent)


def records_of(plan: Plan) -> dict[str, Record]:
    return {run: record_of(run, plan) for run in plan.steps}


@pytest.mark.parametrize(("kind", "num_views"), [("supervised", 1), ("geometric", 1), ("contrastive", 2)])
def test_the_work_of_a_pretraining_counts_every_view_that_was_encoded(kind: str, num_views: int) -> None:
    plan = plan_of(
        tiny_study(Storage("unused"), starts={"supervised": {"paradigm": {"kind": kind}}}), Storage("")
    )
    (run,) = [run for run, step in plan.steps.items() if step.resolved.experiment.kind == "pretrain"]
    experiment = plan.steps[run].resolved.experiment
    assert isinstance(experiment, PretrainExperiment)
    assert work_of(experiment, record_of(run, plan)) == {
        "samples": 64.0,
        "clouds": 64.0 * num_views,
        "steps": 64 / experiment.training.batch_size,
        "flops": 1000.0,
        "seconds": 2.0,
    }


def test_what_was_not_counted_is_not_told_to_be_nothing(storage: Storage) -> None:
    plan = plan_of(tiny_study(storage), storage)
    run = next(iter(plan.cells))
    old = record_of(run, plan).model_copy(update={"flops": 0.0})
    assert work_of(plan.steps[run].resolved.experiment, old)["flops"] == ""
    assert set(work_of(plan.steps[run].resolved.experiment, None).values()) == {""}


def test_a_cell_tells_the_teachers_of_its_pretraining_and_random_weights_have_none(storage: Storage) -> None:
    plan = plan_of(act_study(storage, TAUGHT), storage)
    records = records_of(plan)
    rows: dict[str, Any] = {
        cell.levels.start: costs_of_cell(run, plan, records) for run, cell in plan.cells.items()
    }
    assert rows["act"]["pretraining_flops"] == 1000.0
    assert (rows["act"]["teacher_samples"], rows["act"]["teacher_seconds"]) == (128.0, 4.0)
    assert len(rows["act"]["teachers"].split(", ")) == 2  # the stage I, and its teacher of pictures
    assert rows["scratch"]["teachers"] == rows["scratch"]["pretraining_flops"] == ""
    assert rows["scratch"]["teacher_seconds"] == 0.0
    unfinished = {run: record for run, record in records.items() if "pictures" not in run}
    act = next(run for run, cell in plan.cells.items() if cell.levels.start == "act")
    assert costs_of_cell(act, plan, unfinished)["teacher_flops"] == ""


def test_a_row_of_costs_is_the_mean_of_the_finished_pretrainings(storage: Storage) -> None:
    plan = plan_of(act_study(storage, ACT), storage)
    rows = {row["start"]: row for row in costs(plan, records_of(plan))}
    assert (rows["act"]["pretrainings"], rows["act"]["seconds"], rows["act"]["teacher_seconds"]) == (2, 2, 2)
    assert (rows["scratch"]["pretrainings"], rows["scratch"]["flops"], rows["scratch"]["clouds"]) == (0, 0, 0)
    (unknown,) = [row for row in costs(plan, {}) if row["start"] == "act"]
    assert (unknown["pretrainings"], unknown["seconds"]) == (0, "")


def test_what_cells_share_is_told_once_with_those_that_rest_on_it(storage: Storage) -> None:
    plan = plan_of(act_study(storage, TAUGHT), storage)
    rows = list(ancestors(plan, {}, {}))
    assert [row["kind"] for row in rows] == ["teacher", "pretrain", "pretrain", "pretrain"]
    assert {row["starts"] for row in rows} == {"act"}
    assert {row["outcome"] for row in rows} == {"not run"}
