"""A search on Ray Tune: what is proposed runs once, what is stopped leaves nothing, one trial is tested."""

import math
import shutil
import threading
import time
from typing import Any

import pytest
import ray
from ray.util.state import list_actors, list_placement_groups

from pointlab.config import merge, validate
from pointlab.engine.search.room import groups_that_fit, trials_at_a_time
from pointlab.engine.search.stopping import EPOCH, GAIN, scheduler_of
from pointlab.engine.search.trial import TRIAL, TrialRunner
from pointlab.errors import ConfigError, PointlabError, ResourceError
from pointlab.experiment import LaunchConfig, SearchExperiment, TransferExperiment
from pointlab.experiment.mistaken import read_mistakes
from pointlab.experiment.search.settings import SCORE
from pointlab.experiment.search.trials import Trial, TrialLedger
from pointlab.launch import foresee_search, resolve, run
from pointlab.launch.runs import parents_here
from pointlab.storage import Record, Storage, read_record, require_record
from pointlab.training import Run
from tiny_search import RATE, tiny_search

pytestmark = [pytest.mark.ray, pytest.mark.usefixtures("ray_session")]
COEFFICIENT = "mixture.coefficients.1"


def record_of(experiment: SearchExperiment | TransferExperiment) -> Record:
    record = run(experiment).record
    assert record is not None
    return record


def held() -> list[str]:
    """Processes of training, places kept for some, and whether CPUs are taken."""
    address = ray.get_runtime_context().gcs_address
    actors = [actor.class_name for actor in list_actors(address, filters=[("state", "=", "ALIVE")])]
    places = [each.placement_group_id for each in list_placement_groups(address) if each.state != "REMOVED"]
    taken = ray.available_resources().get("CPU", 0) < ray.cluster_resources()["CPU"]
    return [name for name in actors if "Train" in name] + places + (["CPUs"] if taken else [])


def test_a_search_tests_the_chosen_trial_alone(storage: Storage) -> None:
    told: list[tuple[int, int]] = []
    search = tiny_search(storage.address, stopping={"kind": "asha", "grace_epochs": 1})
    record = run(search, watcher=lambda _, done, total, __: told.append((done, total))).record
    assert record is not None
    assert told[-1] == (3, 3)
    finished = [row for row in record.curves["trials"] if row["outcome"] == "finished"]
    assert len(record.curves["trials"]) == 3
    assert max(row["score"] for row in finished) == record.metrics[SCORE]
    assert {"test/accuracy", "shifted-test/accuracy"} <= record.metrics.keys()
    for row in finished:
        trial = read_record(storage, str(row["run"]))
        assert trial is not None
        assert not any("test/" in name for name in trial.metrics)
    (chosen,) = [row for row in finished if row["run"] == record.notes["chosen trial"]]
    assert record.notes["chosen settings"] == f"{RATE}={chosen[RATE]}"
    mistakes = [read_mistakes(storage, run_name) for run_name in (record.run, str(chosen["run"]))]
    assert [each.told.split for each in mistakes if each is not None] == ["test", "validation"]
    ledger = TrialLedger(storage, record.run).read()
    assert [trial.outcome for trial in ledger.values()] == [row["outcome"] for row in record.curves["trials"]]
    assert foresee_search(search, record.run, storage).total == 3


def test_trials_that_differ_in_the_mixture_alone_share_one_fine_tuning(storage: Storage) -> None:
    """And are compared by two objectives, of which the record has the front."""
    objectives = [{"metric": "target-validation/accuracy"}, {"metric": "shifted-validation/accuracy"}]
    space = {COEFFICIENT: {"kind": "uniform", "low": 0.25, "high": 0.75, "steps": 3}}
    search = tiny_search(
        storage.address, space, sampler={"kind": "grid"}, num_trials=None, objectives=objectives
    )
    record = record_of(search)
    rows = record.curves["trials"]
    trials = [read_record(storage, str(row["run"])) for row in rows]
    assert sorted(float(row[COEFFICIENT]) for row in rows) == [0.25, 0.5, 0.75]
    (shared,) = {trial.parents["fine_tuned"] for trial in trials if trial is not None}
    assert storage.files(f"runs/{shared}/tensorboard")
    assert record.samples_seen < sum(float(row["samples"]) for row in rows)
    (recommended,) = [row for row in record.curves["pareto"] if row["recommended"]]
    assert recommended["run"] == record.notes["chosen trial"]
    assert "scaled to [0, 1]" in record.notes["recommendation"]
    for objective in objectives:
        assert recommended[objective["metric"]] == record.metrics[objective["metric"]]


def test_an_objective_that_no_record_has_is_an_error_that_names_those_it_has(storage: Storage) -> None:
    search = tiny_search(storage.address, num_trials=1, objectives=[{"metric": "selection/f1"}])
    with pytest.raises(PointlabError, match=r"no figure selection/f1.*validation/accuracy"):
        run(search)


def test_a_search_whose_trials_all_fail_says_why(storage: Storage) -> None:
    space = {RATE: {"kind": "choice", "values": [1e30]}}
    transfer = {"training": {"optimiser": {"clip_norm": None}}}
    with pytest.raises(PointlabError, match="loss is"):
        run(tiny_search(storage.address, space, num_trials=2, transfer=transfer))


def test_a_search_without_validation_is_refused_before_the_first_trial(storage: Storage) -> None:
    """Even of a protocol that chooses nothing by itself."""
    whole = {"name": "whole", "validation_fraction": 0.0, "source": {"num_train_per_class": 1}}
    alone = {"protocol": "linear_svm", "svm": {"strengths": [1.0]}, "data": whole}
    space = {"training.batch_size": {"kind": "choice", "values": [8, 16]}}
    with pytest.raises(ConfigError, match=r"A search chooses on .* whole-.*transfer\.data\.validation_fract"):
        run(tiny_search(storage.address, space, transfer=alone))


def test_a_search_over_pretraining_settings_pretrains_each_of_them_once(storage: Storage) -> None:
    path = "pretrained.training.optimiser.learning_rate"
    space = {
        path: {"kind": "choice", "values": [1e-3, 2e-3]},
        RATE: {"kind": "choice", "values": [1e-3, 2e-3]},
    }
    search = tiny_search(
        storage.address,
        space,
        sampler={"kind": "grid"},
        num_trials=None,
        transfer={"training": {"epochs": 1}},
    )
    record = record_of(search)
    trials = [read_record(storage, str(row["run"])) for row in record.curves["trials"]]
    assert len(trials) == 4
    parents = {trial.parents["pretrained"] for trial in trials if trial is not None}
    assert len(parents) == 2  # equal settings share one
    made = {name for name in storage.folders("runs") if read_record(storage, name).kind == "pretrain"}  # type: ignore[union-attr]
    assert made == parents  # and the search's own is not made
    best = read_record(storage, record.notes["chosen trial"])
    assert best is not None
    assert record.parents == best.parents


def test_trials_on_two_workers_leave_nothing_behind_when_they_are_stopped(storage: Storage) -> None:
    """The first trial is known to be far ahead, so that the second is stopped after its first epoch."""
    own = {"test": False, "storage": {"root": storage.address}}
    transfer = {"protocol": "full", "training": {"epochs": 30}, **own}
    search = tiny_search(
        storage.address,
        num_trials=2,
        transfer=transfer,
        sampler={"kind": "random"},
        stopping={"kind": "asha", "grace_epochs": 1, "reduction_factor": 2},
        launch={"num_workers": 2, "cpus_per_worker": 0.5},
    )
    assert trials_at_a_time(search) == 1
    at, made = resolve(search, storage), record_of(search.transfer)
    ahead = Trial(
        number=0,
        settings={RATE: 1e-3},
        outcome="finished",
        figures={SCORE: 1.0},
        by_epoch={1: 1.0},
        run=made.run,
    )
    TrialLedger(storage, at.run).write(ahead)
    record = record_of(search)
    first, second = record.curves["trials"]
    assert (first["outcome"], second["outcome"], second["run"]) == ("finished", "stopped early", "")
    assert 1 <= float(second["epochs"]) < 30
    trials = [name for name in storage.folders("runs") if name.startswith("tiny-search-trial")]
    assert all(storage.folders(f"runs/{name}") == ["lease"] for name in trials)
    deadline = time.monotonic() + 60  # Ray takes some seconds to bury what has ended
    while held() and time.monotonic() < deadline:
        time.sleep(0.5)
    assert held() == []


def test_a_trial_that_goes_on_tells_its_epochs_again_and_its_end_is_none(storage: Storage) -> None:
    """Also where its run is finished; an epoch that cannot be compared fails it."""
    search = tiny_search(storage.address, transfer={"training": {"epochs": 3}})
    runner = TrialRunner(resolve(search, storage), storage, parents_here)

    def reports() -> list[tuple[int, float]]:
        told: list[dict[str, Any]] = []
        trial = Trial(number=0, settings={RATE: 1e-3})
        runner.run({TRIAL: trial.model_dump_json()}, told.append, threading.Event())
        trials.append(Trial.model_validate_json(told[-1][TRIAL]))
        return [(each[EPOCH], each[GAIN]) for each in told]

    trials: list[Trial] = []
    first = reports()
    assert [epoch for epoch, _ in first] == [1, 2, 0]
    assert reports() == first
    (fine_tuned,) = [name for name in trials[0].costs if name != trials[0].run]
    run_of_it = Run(storage, fine_tuned)
    lines = [
        {name: math.nan if name == "validation/accuracy" else value for name, value in line.items()}
        for line in run_of_it.read_log()
    ]
    run_of_it.write_log(run_of_it.checkpoints()[-1], lines)
    reports()
    assert [trial.outcome for trial in trials] == ["finished", "finished", "failed"]
    assert "is nan after epoch 1" in trials[2].error


@pytest.mark.slow  # nine trials; tests/experiment/test_population.py has its rules without Ray
def test_the_schedule_that_a_population_finds_can_be_trained_again_by_itself(storage: Storage) -> None:
    """Its run is an ordinary transfer with changes, and comes out the same in one go, in another store."""
    shutil.copytree(storage.root, f"{storage.root}-other")
    other = Storage(f"{storage.root}-other")
    search = tiny_search(
        storage.address,
        sampler={"kind": "pbt", "population": 3, "interval": 1, "resample": 0.0},
        num_trials=None,
        transfer={"protocol": "full", "training": {"epochs": 3}},
    )
    record = record_of(search)
    rows = record.curves["trials"]
    assert [row["generation"] for row in rows] == [0] * 3 + [1] * 3 + [2] * 3
    assert any(row["parent"] not in ("", float(row["trial"]) - 3) for row in rows)  # somebody gave up
    assert record.samples_seen == sum(float(row["samples"]) for row in rows)  # each epoch of each member once
    best = require_record(storage, record.notes["chosen trial"])
    replayed = validate(TransferExperiment, merge(best.config, {"storage": {"root": other.address}}), "again")
    schedule = [row[RATE] for row in record.curves["schedule"]]
    assert [change.settings[RATE] for change in replayed.changes] == schedule[1:]
    assert record_of(replayed).metrics == best.metrics
    assert best.samples_seen == sum(float(row["samples"]) for row in rows[::3])


def test_a_search_that_could_never_start_is_refused_with_the_number_that_fits() -> None:
    search = tiny_search(launch={"num_workers": 64, "cpus_per_worker": 1})
    with pytest.raises(
        ResourceError, match=r"One trial on 64 workers x 1 CPUs needs 65 CPUs.*num_workers=\d"
    ):
        trials_at_a_time(search)


@pytest.mark.parametrize(
    ("cpus", "size", "expected"),
    [
        ([2], 2, 1),
        ([4], 2, 2),
        ([3.9], 2, 1),
        ([2, 1], 2, 1),
        ([2, 2], 2, 2),
        ([1.5, 1.5], 2, 1),
        ([16], 6, 4),
    ],
)
def test_every_group_of_workers_has_a_cpu_for_its_data(cpus: list[float], size: int, expected: int) -> None:
    nodes = [{"CPU": count} for count in cpus]
    assert groups_that_fit(nodes, {"CPU": 0.5}, LaunchConfig(num_workers=size), 100) == expected


def test_stopping_knows_what_earlier_starts_have_reached() -> None:
    search = tiny_search(stopping={"kind": "asha", "grace_epochs": 1, "reduction_factor": 2})
    known = Trial(number=0, settings={RATE: 1e-3}, outcome="finished", by_epoch={1: 0.9})

    def decided(over: list[Trial]) -> str:
        scheduler: Any = scheduler_of(search, over)
        trial = Standing()
        scheduler.on_trial_add(None, trial)
        return str(scheduler.on_trial_result(None, trial, {EPOCH: 1, GAIN: 0.1}))

    assert decided([]) == "CONTINUE"
    assert decided([known]) == "STOP"


class Standing:
    """All that the scheduler asks of a trial."""

    trial_id = "new"
