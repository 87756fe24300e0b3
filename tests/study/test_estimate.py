"""A dry run says how long what is missing will take, and what it cannot know."""

from typing import Any

import pytest
from rich.console import Console

from pointlab import launch
from pointlab.cli.plans import table_of_estimate
from pointlab.data.manifest import read_dataset
from pointlab.launch import estimating
from pointlab.launch.amount import SHOWN, clouds_of
from pointlab.launch.estimating import estimate, foretold
from pointlab.storage import Storage
from pointlab.study.planning import make_plan
from pointlab.training import ignore_progress
from pointlab.training.step_cost import StepCost
from study.test_ancestors import TAUGHT, act_study
from study.test_budget import VIEWS, matched
from tiny_study import tiny_study

CONTRASTIVE = {"scratch": None, "contrastive": VIEWS}


@pytest.fixture
def taken(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the experiments of which a step is taken: of a second and a thousand operations."""
    names: list[str] = []

    def take(resolved: Any, *_: Any) -> StepCost:
        names.append(resolved.experiment.name)
        return StepCost(1000.0, 1.0)

    monkeypatch.setattr(estimating, "measure", take)
    return names


def test_a_step_of_each_distinct_training_is_taken_once(storage: Storage, taken: list[str]) -> None:
    study = tiny_study(storage, seeds=[0, 1, 2], samples_per_class=[2, 1])
    found = {each.kind: each for each in estimate(study, storage, ignore_progress)}
    assert len(taken) == 2  # the pretraining and the probe, of whatever start
    assert (found["pretraining"].missing, found["probe"].missing) == (3, 2 * 2 * 3)
    plan = make_plan(study, launch.resolve(study, storage).datasets, storage)
    for kind, each in found.items():
        steps = [step.resolved for step in plan.missing if plan.kind_of(step.run) == kind]
        clouds = sum(clouds_of(one, storage) for one in steps)
        assert each.timed == each.missing
        assert each.seconds == pytest.approx(clouds / 16 if kind == "pretraining" else clouds / 32)


def test_a_probe_is_shown_its_clouds_and_a_training_sees_whole_batches(storage: Storage) -> None:
    study = tiny_study(storage)
    plan = make_plan(study, launch.resolve(study, storage).datasets, storage)
    probe, pretraining = (
        next(s.resolved for s in plan.steps.values() if s.resolved.experiment.kind == kind)
        for kind in ("transfer", "pretrain")
    )
    manifest = read_dataset(storage, probe.datasets["data"])
    rows, classes = manifest.rows, len(manifest.class_names)
    assert clouds_of(probe, storage) == SHOWN * (2 * classes + rows["validation"] + rows["test"])
    trained = read_dataset(storage, pretraining.datasets["data"]).rows
    whole = -(-trained["train"] // 16) * 16
    assert clouds_of(pretraining, storage) == whole + SHOWN * trained["validation"]


def test_what_waits_for_its_parents_is_unknown_and_in_no_sum(storage: Storage, taken: list[str]) -> None:
    rows = estimate(act_study(storage, TAUGHT), storage, ignore_progress)
    (pretrainings,) = [each for each in rows if each.kind == "pretraining"]
    assert (pretrainings.missing, pretrainings.timed) == (4, 0)  # a set with pictures is not there either
    screen = Console(width=200, record=True)
    screen.print(table_of_estimate(rows))
    assert "unknown" in screen.export_text()


def test_a_budget_that_rests_on_no_step_yet_leaves_all_times_open(storage: Storage, taken: list[str]) -> None:
    study = matched(storage, {"device_seconds": 3.0}, starts=CONTRASTIVE)
    assert foretold(study, storage) is None
    assert {each.timed for each in estimate(study, storage, ignore_progress)} == {0}
    assert taken == []
    known = foretold(matched(storage, {"steps": 3}, starts=CONTRASTIVE), storage)
    assert known is not None
    assert known.cells == launch.resolve(known, storage).experiment.cells


def test_real_steps_are_timed_and_nothing_is_left_in_the_store(storage: Storage) -> None:
    study = tiny_study(storage)
    before = storage.folders("runs")
    rows = estimate(study, storage, ignore_progress)
    assert all(each.seconds > 0 and each.flops > 0 for each in rows)
    assert storage.folders("runs") == before
