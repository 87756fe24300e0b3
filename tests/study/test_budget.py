"""A budget gives all pretrainings of a study equally much of one thing, and its runs are named by that."""

import itertools
from typing import Any

import pytest

from pointlab import launch
from pointlab.config import validate
from pointlab.data.manifest import read_dataset
from pointlab.data.order import num_steps
from pointlab.errors import ConfigError
from pointlab.experiment import PretrainExperiment, StudyExperiment
from pointlab.experiment.budget import Budget
from pointlab.launch import runs
from pointlab.storage import Storage, read_record
from pointlab.study.planning import make_plan
from pointlab.training.step_cost import StepCost
from tiny_study import tiny_study

VIEWS = {"paradigm": {"kind": "contrastive"}, "augmentation": {"crop": [0.6, 1.0]}}
UNSAID: dict[str, Any] = {"batch_size": 16, "warmup_epochs": 0, "validate_every": 1000, "log_every": 1}


def matched(storage: Storage, budget: dict[str, float], **changes: Any) -> StudyExperiment:
    """One view against two under a budget."""
    starts = {"scratch": None, "supervised": {"paradigm": {"kind": "supervised"}}, "contrastive": VIEWS}
    study = tiny_study(storage).model_dump(mode="json")
    settings = {**study, "pretraining": {"training": UNSAID}, "starts": starts, "budget": budget, **changes}
    found: StudyExperiment = validate(StudyExperiment, settings, "test")
    return found


def lengths(study: StudyExperiment) -> dict[str, float]:
    """Epochs of the pretrainings, by start."""
    return {
        cell.levels.start: cell.experiment.pretrained.training.epochs
        for cell in study.cells
        if isinstance(cell.experiment.pretrained, PretrainExperiment)
    }


@pytest.mark.parametrize(
    ("quantity", "amount", "steps"),
    [("samples", 100, 6), ("clouds", 100, 3), ("steps", 7, 7), ("flops", 95, 9), ("device_seconds", 5, 2)],
)
def test_whole_steps_are_taken_as_far_as_a_budget_reaches(quantity: str, amount: float, steps: int) -> None:
    study = matched(Storage("unused"), {quantity: amount})
    contrastive = next(
        cell for cell in study.cells if cell.levels.start == "contrastive"
    ).experiment.pretrained
    assert isinstance(contrastive, PretrainExperiment)
    for num_rows in (47, 48, 1000):
        epochs = Budget(**{quantity: amount}).epochs(contrastive, num_rows, StepCost(10.0, 2.0))
        assert num_steps(num_rows, epochs, contrastive.training.batch_size) == steps


def test_equal_clouds_are_half_the_steps_of_two_views_in_the_record_too(storage: Storage) -> None:
    record = launch.run(matched(storage, {"clouds": 96})).record
    assert record is not None
    rows = {row["start"]: row for row in record.curves["costs"]}
    assert {start: row["clouds"] for start, row in rows.items()} == {
        "scratch": 0.0,
        "supervised": 96.0,
        "contrastive": 96.0,
    }
    assert (rows["supervised"]["steps"], rows["contrastive"]["steps"]) == (6.0, 3.0)
    assert all(float(rows[start]["flops"]) > 0 for start in ("supervised", "contrastive"))
    assert record.notes["budget"].startswith("96 clouds")


def test_what_a_step_took_is_kept_so_that_a_study_has_its_runs_again(
    storage: Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another row is measured, and moves none of the others."""
    clock = itertools.count(1)
    monkeypatch.setattr(runs, "measure", lambda *_: StepCost(1.0, float(next(clock))))
    study = matched(storage, {"device_seconds": 12.0}, starts={"scratch": None, "contrastive": VIEWS})
    first = launch.resolve(study, storage)
    assert launch.resolve(study, storage) == first
    assert lengths(first.experiment) == {
        "contrastive": pytest.approx(12 * 16 / num_rows(first, storage), abs=1e-6)
    }
    more = launch.resolve(matched(storage, {"device_seconds": 12.0}), storage)
    assert lengths(more.experiment)["contrastive"] == lengths(first.experiment)["contrastive"]
    assert next(clock) == 3
    kept = set(make_plan(first.experiment, first.datasets, storage).steps)
    assert kept < set(make_plan(more.experiment, more.datasets, storage).steps)


def num_rows(resolved: Any, storage: Storage) -> int:
    return read_dataset(storage, resolved.datasets["to-scans/pretrained"]).rows["train"]


def test_a_study_under_a_budget_is_printed_with_the_epochs_that_it_had(storage: Storage) -> None:
    """Which run again are what they were, and nothing is measured anew."""
    resolved = launch.resolve(matched(storage, {"steps": 3}), storage)
    again = StudyExperiment.model_validate(resolved.experiment.model_dump(mode="json"))
    assert launch.resolve(again, storage).run == resolved.run
    assert resolved.experiment.cells[0].experiment.storage.root == storage.address


def test_a_measured_step_leaves_nothing_in_the_store_and_counts_what_training_counts(
    storage: Storage,
) -> None:
    study = launch.resolve(matched(storage, {"flops": 1e8}), storage)
    assert storage.folders("runs") == []
    record = launch.run(study.experiment).record
    assert record is not None
    for row in record.curves["costs"]:
        if row["start"] != "scratch":
            assert 0 < float(row["flops"]) <= 1e8
            pretraining = next(r["pretraining"] for r in record.curves["cells"] if r["start"] == row["start"])
            found = read_record(storage, str(pretraining))
            assert found is not None
            assert found.flops == row["flops"]
            assert 1e8 - found.flops < found.flops * 16 / found.samples_seen


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"budget": {}}, "a budget fixes one quantity, and none is given"),
        ({"budget": {"steps": 3, "clouds": 4}}, "clouds and steps is given"),
        ({"pretraining": {"training": {"epochs": 3}}}, "pretraining.training.epochs is set, but budget says"),
        (
            {"starts": {"scratch": None, "supervised": {"training": {"until": 3}}}},
            "starts.supervised.training.until is set",
        ),
    ],
)
def test_a_length_that_is_said_twice_or_not_at_all_is_refused(
    storage: Storage, changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        matched(storage, **{"budget": {"steps": 3}, **changes})


def test_a_study_without_random_weights_is_refused(storage: Storage) -> None:
    with pytest.raises(ConfigError, match="nothing says what random weights reach where supervised-patches"):
        tiny_study(storage, baseline="supervised", exclude=[{"start": "scratch"}])
