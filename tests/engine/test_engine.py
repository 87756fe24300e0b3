"""On Ray everything comes out as in one process, and nothing waits for what can never come."""

import numpy as np
import pytest
import torch

import pictured
from conftest import tiny_pretrain
from pictured import publish_pictured
from pointlab.data.augmentation import AugmentationConfig
from pointlab.data.batches import Recipe
from pointlab.data.order import Share
from pointlab.errors import DataError, ResourceError, TrainingError
from pointlab.experiment.stored_models import read_module
from pointlab.launch import resolve, run
from pointlab.storage import Storage
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
