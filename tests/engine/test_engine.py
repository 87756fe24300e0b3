"""On Ray everything comes out as in one process, and nothing waits for what can never come."""

from typing import Any

import numpy as np
import pytest
import torch

import pictured
from conftest import TRANSFER, tiny_pretrain
from pictured import publish_pictured
from pointlab.config import merge, validate
from pointlab.data.augmentation import AugmentationConfig
from pointlab.data.batches import Recipe
from pointlab.data.order import Share
from pointlab.errors import ConfigError, DataError, PointlabError, ResourceError, TrainingError
from pointlab.experiment import SearchExperiment
from pointlab.experiment.wiring import read_module
from pointlab.launch import resolve, run
from pointlab.storage import Storage, read_record
from pointlab.training import LocalContext, Run
from pointlab.training.context import FeedPlan

pytestmark = [pytest.mark.ray, pytest.mark.usefixtures("ray_session")]


def run_on(storage: Storage, name: str, num_workers: int, accumulation: int = 1) -> str:
    """Run the tiny pretraining; no workers means in this process."""
    launch = {"kind": "ray" if num_workers else "local", "num_workers": num_workers or 1}
    experiment = tiny_pretrain(
        storage, name=name, launch=launch, training={"accumulation": accumulation, "epochs": 1}
    )
    record = run(experiment).record
    assert record is not None
    return record.run


def losses(storage: Storage, name: str) -> list[float]:
    return [line["train/loss"] for line in Run(storage, name).read_log() if "train/loss" in line]


def is_statistic(name: str) -> bool:
    return name.rpartition(".")[2].startswith(("running_", "num_batches"))


def test_one_ray_worker_equals_this_process_bit_for_bit(storage: Storage) -> None:
    here, there = run_on(storage, "here", 0), run_on(storage, "there", 1)
    assert losses(storage, here) == losses(storage, there)
    for module in ("backbone", "head"):
        one, other = read_module(storage, here, module), read_module(storage, there, module)
        assert all(torch.equal(one[name], other[name]) for name in one)


def test_two_ray_workers_equal_one_worker_with_two_micro_batches(storage: Storage) -> None:
    alone, together = run_on(storage, "alone", 0, accumulation=2), run_on(storage, "together", 2)
    assert losses(storage, alone) == losses(storage, together)
    one, other = read_module(storage, alone, "backbone"), read_module(storage, together, "backbone")
    assert all(torch.equal(one[name], other[name]) for name in one if not is_statistic(name))


@pytest.mark.parametrize(("rank", "world_size", "first_step"), [(0, 1, 0), (1, 3, 2)])
def test_the_ray_feed_gives_the_bytes_of_the_feed_in_process(
    storage: Storage, rank: int, world_size: int, first_step: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    from pointlab.engine import feed

    monkeypatch.setattr(feed, "SAMPLES_PER_BLOCK", 32)  # the first two to six steps are made in this process

    publish_pictured(storage)
    partial = AugmentationConfig(rotation="full", crop=(0.5, 0.9))
    inputs = ("normals", "rows", "pictures", "captions")
    recipe = Recipe(3, 48, partial, inputs, num_views=2, subset=np.arange(5, 37))
    share = Share(16, rank, world_size)
    plan = FeedPlan(storage, pictured.NAME, recipe, share, first_step, num_steps=8)
    here, there = list(LocalContext(storage).feed(plan)), list(feed.ray_feed(plan))
    assert len(here) == len(there) == 8 - first_step
    for one, other in zip(here, there, strict=True):
        assert one.keys() == other.keys()
        for name in one:
            assert one[name].dtype == other[name].dtype
            assert np.array_equal(one[name], other[name]), name


def test_an_error_in_a_data_task_is_raised_where_its_samples_were_due(storage: Storage) -> None:
    from pointlab.engine.feed import open_stream

    experiment = tiny_pretrain(storage)
    dataset = resolve(experiment, storage).datasets["data"]
    recipe = Recipe(3, 48, experiment.augmentation, ("colours",))
    plan = FeedPlan(storage, dataset, recipe, Share(16), first_step=0, num_steps=8)
    with pytest.raises(DataError, match="but no colours"):
        next(open_stream(plan, steps_per_block=2))


def test_an_error_of_the_users_comes_back_as_it_was_raised(storage: Storage) -> None:
    experiment = tiny_pretrain(
        storage,
        launch={"kind": "ray"},
        training={"optimiser": {"learning_rate": 1e30, "clip_norm": None}},
    )
    with pytest.raises(TrainingError, match="learning_rate"):
        run(experiment)


def test_a_run_that_could_never_start_is_refused_with_the_numbers_that_fit(storage: Storage) -> None:
    with pytest.raises(ResourceError, match=r"needs 65 CPUs.*launch\.num_workers"):
        run(tiny_pretrain(storage, launch={"kind": "ray", "num_workers": 64, "cpus_per_worker": 1}))


def make_search(storage: Storage, **changes: object) -> SearchExperiment:
    settings = {
        "kind": "search",
        "name": "tiny-search",
        "transfer": TRANSFER,
        "space": {"training.optimiser.learning_rate": {"kind": "log_uniform", "low": 1e-4, "high": 1e-2}},
        "num_trials": 3,
        "grace_epochs": 1,
        "launch": {"kind": "ray", "cpus_per_worker": 1},
        "storage": {"root": storage.address},
    }
    experiment: SearchExperiment = validate(SearchExperiment, merge(settings, changes), "test")
    return experiment


def test_a_search_tests_the_chosen_trial_alone(storage: Storage) -> None:
    told: list[tuple[int, int]] = []
    record = run(make_search(storage), watcher=lambda _, done, total, __: told.append((done, total))).record
    assert record is not None
    assert told[-1] == (3, 3)
    finished = [row for row in record.curves["trials"] if row["outcome"] == "finished"]
    assert len(record.curves["trials"]) == 3
    assert max(row["score"] for row in finished) == record.metrics["selection/score"]
    assert {"test/accuracy", "shifted-test/accuracy"} <= record.metrics.keys()
    for row in finished:
        trial = read_record(storage, str(row["run"]))
        assert trial is not None
        assert not any("test/" in name for name in trial.metrics)
    (chosen,) = [row for row in finished if row["run"] == record.notes["chosen trial"]]
    searched = "training.optimiser.learning_rate"
    assert record.notes["chosen settings"] == f"{searched}={chosen[searched]}"


def test_clearing_up_after_a_search_spares_every_other_run(storage: Storage) -> None:
    from pointlab.engine.search import _clear

    finished = run_on(storage, "twin", 0)
    for name in ("stopped", "other"):
        storage.write(f"runs/{name}/metrics/part-00000001.jsonl", b"")
    rows = [{"outcome": "stopped early", "run": name} for name in ("", finished, "stopped")]
    _clear(storage, [*rows, {"outcome": "failed", "run": "other"}])
    assert storage.folders("runs") == sorted([finished, "other"])


def test_a_search_whose_trials_all_fail_says_why(storage: Storage) -> None:
    space = {"training.optimiser.learning_rate": {"kind": "choice", "values": [1e30]}}
    with pytest.raises(PointlabError, match="loss is"):
        run(
            make_search(
                storage,
                num_trials=2,
                space=space,
                transfer={"training": {"optimiser": {"clip_norm": None}}},
            )
        )


def test_a_search_without_validation_is_refused_before_the_first_trial(storage: Storage) -> None:
    """Even of a protocol that chooses nothing by itself."""
    whole = {"name": "whole", "validation_fraction": 0.0, "source": {"num_train_per_class": 1}}
    alone = {"protocol": "linear_svm", "svm": {"strengths": [1.0]}, "data": whole}
    with pytest.raises(ConfigError, match=r"A search chooses on .* whole-.*transfer\.data\.validation_fract"):
        run(make_search(storage, transfer=alone))


def test_a_search_over_pretraining_settings_pretrains_each_of_them_once(storage: Storage) -> None:
    path = "pretrained.training.optimiser.learning_rate"
    space = {path: {"kind": "choice", "values": [1e-3, 2e-3]}}
    record = run(make_search(storage, num_trials=4, space=space, transfer={"training": {"epochs": 1}})).record
    assert record is not None
    tried = {row[path] for row in record.curves["trials"]}
    trials = [read_record(storage, str(row["run"])) for row in record.curves["trials"] if row["run"]]
    parents = {trial.parents["pretrained"] for trial in trials if trial is not None}
    best = read_record(storage, record.notes["chosen trial"])
    assert best is not None
    assert record.parents == best.parents
    assert len(parents) == len(tried)  # equal settings share one, and the search's own is not made
    assert (
        sum(name.startswith("tiny-") for name in storage.folders("runs"))
        == len(parents) + len({trial.run for trial in trials if trial is not None}) + 1
    )


@pytest.mark.parametrize(
    "distribution",
    [{"kind": "choice", "values": [64, 56]}, {"kind": "uniform", "low": 64, "high": 72}],
)
def test_a_search_over_other_datasets_is_refused(storage: Storage, distribution: dict[str, Any]) -> None:
    """Also where the first of its values is what the set has."""
    with pytest.raises(PointlabError, match="datasets of a search are fixed"):
        make_search(storage, space={"pretrained.data.num_points": distribution})


@pytest.mark.parametrize(
    ("path", "values"), [("protocol", ["wise_ft_lp", "linear_svm"]), ("samples_per_class", [1, 2])]
)
def test_a_search_over_what_no_table_compares_is_refused(
    storage: Storage, path: str, values: list[int | str]
) -> None:
    with pytest.raises(PointlabError, match=rf"space\.{path} makes a trial's protocol .* wise_ft_lp, and no"):
        make_search(storage, space={path: {"kind": "choice", "values": values}})


def test_a_space_with_an_impossible_value_is_refused_when_it_is_read(storage: Storage) -> None:
    values = {"kind": "choice", "values": [0.5, 1.5]}
    with pytest.raises(PointlabError, match="dropout"):
        make_search(storage, space={"supervised.head.dropout": values})


def test_a_space_with_an_unknown_path_is_refused_when_it_is_read(storage: Storage) -> None:
    with pytest.raises(PointlabError, match="did you mean 'optimiser'"):
        make_search(storage, space={"training.optimizer.learning_rate": {"kind": "choice", "values": [1.0]}})
