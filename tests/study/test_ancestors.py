"""What the pretrainings of a study start from is made once, before all that needs it."""

from typing import Any

import pytest

from conftest import SCANS
from pointlab import launch
from pointlab.config import merge
from pointlab.errors import ConfigError
from pointlab.experiment import StudyExperiment
from pointlab.storage import Record, Storage, read_record
from pointlab.study import Extent, Failure, Ledger, foresee
from pointlab.study.planning import Plan, make_plan
from tiny_act import STAGE_ONE, STAGE_TWO
from tiny_recon import PICTURED
from tiny_study import tiny_study

ACT = {"paradigm": STAGE_TWO["paradigm"], "latents": STAGE_ONE}
TAUGHT = merge(ACT, {"latents": {"teacher": {"kind": "teacher", "name": "pictures", "data": PICTURED}}})
TAUGHT["latents"]["teacher"]["network"] = STAGE_ONE["teacher"]["network"]


def act_study(storage: Storage, start: dict[str, Any] = ACT, **changes: Any) -> StudyExperiment:
    """A study of two seeds whose one start, beside none, is stage II of ACT."""
    settings = {"seeds": [0, 1], "starts": {"act": start}, "exclude": [{"start": "supervised"}]} | changes
    return tiny_study(storage, **settings)


def plan_of(study: StudyExperiment, storage: Storage) -> Plan:
    return make_plan(
        study, {role: f"{config.name}-{config.recipe()}" for role, config in study.datasets.items()}, storage
    )


def names(plan: Plan) -> list[str]:
    """Names and seeds of the missing steps, without their hashes."""
    parts = (step.run.rsplit("-", maxsplit=2) for step in plan.missing)
    return [f"{name} {seed}" for name, _, seed in parts]


def test_a_study_makes_its_stage_one_once_and_first(storage: Storage) -> None:
    study = act_study(storage)
    assert foresee(study, storage)["act", "patches"] == {"pretraining": Extent(3, 0), "probe": Extent(2, 0)}
    record = launch.run(study).record
    assert record is not None
    rows = [row for row in record.curves["cells"] if row["start"] == "act"]
    stage_twos = [found(storage, row["pretraining"]) for row in rows]
    assert {one.seed for one in stage_twos} == {0, 1}
    (stage_one,) = {one.parents["latents"] for one in stage_twos}
    assert found(storage, stage_one).seed == 0
    assert found(storage, stage_one).finished <= min(one.finished for one in stage_twos)
    runs = [found(storage, run) for run in storage.folders("runs") if run != record.run]
    assert len(runs) == 1 + 2 + 2 + 2
    assert record.samples_seen == sum(one.samples_seen for one in runs)
    assert foresee(study, storage)["act", "patches"] == {"pretraining": Extent(3, 3), "probe": Extent(2, 2)}


def found(storage: Storage, run: Any) -> Record:
    record = read_record(storage, str(run))
    assert record is not None
    return record


def test_ancestors_come_in_order_and_keep_their_names_and_seeds_and_run_where_the_study_does(
    storage: Storage,
) -> None:
    plan = plan_of(act_study(storage, TAUGHT), storage)
    assert [name for name in names(plan) if "scratch" not in name] == [
        "pictures s0",
        "stage-one s0",
        "tiny-act-patches-on-shapes s0",
        "tiny-act-patches-on-shapes s1",
        "tiny-act-patches-to-scans-probe-2-per-class s0",
        "tiny-act-patches-to-scans-probe-2-per-class s1",
    ]
    experiments = [step.resolved.experiment for step in plan.missing]
    assert {each.launch.kind for each in experiments} == {"local"}
    assert {each.storage.root for each in experiments} == {storage.address}


def test_an_adjustment_gives_each_seed_a_stage_one_of_its_own(storage: Storage) -> None:
    own = {"where": {"start": "act", "seed": 1}, "pretraining": {"latents": {"seed": 1}}}
    plan = plan_of(act_study(storage, adjustments=[own]), storage)
    assert names(plan)[:4] == [
        "stage-one s0",
        "tiny-act-patches-on-shapes s0",
        "stage-one s1",
        "tiny-act-patches-on-shapes s1",
    ]


def test_what_a_failed_ancestor_was_for_has_failed_with_it(storage: Storage) -> None:
    ledger = Ledger(plan_of(act_study(storage, TAUGHT), storage))
    step = ledger.take()
    assert step is not None
    ledger.note(step, Failure("no pictures"))
    assert len(ledger.errors) == 1 + 1 + 2 + 2
    assert {ledger.errors[run] for run in ledger.failed_cells} == {
        f"its teacher {step.run} failed: no pictures"
    }
    rest = [ledger.take(), ledger.take(), ledger.take()]
    assert [step is not None and "scratch" in step.run for step in rest] == [True, True, False]


def test_one_start_has_no_parents_on_two_sets(storage: Storage) -> None:
    other = {"where": {"start": "act", "seed": 1}, "pretraining": {"latents": {"data": SCANS}}}
    with pytest.raises(
        ConfigError, match="to-scans/act/pretrained/latents is shapes in one cell and scans in act-"
    ):
        act_study(storage, adjustments=[other])
