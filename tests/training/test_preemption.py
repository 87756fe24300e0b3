"""A run that is asked to end saves itself between two checkpoints and goes on as if nothing had been."""

import threading
from collections.abc import Mapping
from typing import Any

import pytest
import torch

from conftest import tiny_pretrain
from pointlab import distributed
from pointlab.errors import PreemptedError
from pointlab.experiment.pretrain import PretrainExperiment
from pointlab.experiment.pretraining import pretrain
from pointlab.experiment.resolve import Resolved
from pointlab.experiment.stored_models import read_module
from pointlab.launch import resolve
from pointlab.storage import Storage
from pointlab.training import LocalContext, Run
from training.test_workers import DistributedContext, on_workers

TRAINING = {"epochs": 3, "log_every": 4, "log_samples": True, "keep_checkpoints": 9}


class Stopped(DistributedContext):
    """A worker that is asked to end after some step."""

    def __init__(self, storage: Storage, stops_after: int) -> None:
        super().__init__(storage, stop=threading.Event())
        self.stops_after = stops_after
        self.steps = 0

    def should_stop(self) -> bool:
        self.steps += 1
        return self.steps == self.stops_after


def run_until(resolved: Resolved[PretrainExperiment], storage: Storage, rank: int, step: int) -> None:
    """Train; the worker `rank` is asked to end after `step` steps."""
    context = Stopped(storage, step if distributed.rank() == rank else -1)
    with pytest.raises(PreemptedError):
        pretrain(resolved, context)


def train(resolved: Resolved[PretrainExperiment], storage: Storage) -> None:
    pretrain(resolved, (DistributedContext if distributed.world_size() > 1 else LocalContext)(storage))


def named(storage: Storage, name: str, **training: Any) -> Resolved[PretrainExperiment]:
    return resolve(tiny_pretrain(storage, name=name, training={**TRAINING, **training}), storage)


def assert_equal(storage: Storage, one: str, other: str) -> None:
    for module in ("backbone", "head"):
        weights, others = (read_module(storage, run, module) for run in (one, other))
        for name in weights:
            assert torch.equal(weights[name], others[name]), name
    assert Run(storage, one).read_log() == Run(storage, other).read_log()
    assert Run(storage, one).read_samples() == Run(storage, other).read_samples()


def test_a_stopped_run_goes_on_where_it_stopped(storage: Storage) -> None:
    straight, stopped = named(storage, "straight"), named(storage, "stopped")
    train(straight, storage)
    stop = threading.Event()

    class Asked(LocalContext):
        def watch(self, stage: str, done: int, total: int, figures: Mapping[str, float]) -> None:
            if done == 4:
                stop.set()

    with pytest.raises(PreemptedError, match=r"saved at step 4 of 9.*run the same command again"):
        pretrain(stopped, Asked(storage, stop=stop))
    assert Run(storage, stopped.run).checkpoints() == [3, 4]
    train(stopped, storage)
    assert_equal(storage, straight.run, stopped.run)


@pytest.mark.parametrize(("num_workers", "ema_decay"), [(2, 0.9), (3, None)])
def test_workers_stop_together_when_one_is_asked_and_resume_bit_for_bit(
    storage: Storage, num_workers: int, ema_decay: float | None
) -> None:
    straight = named(storage, "straight", ema_decay=ema_decay)
    stopped = named(storage, "stopped", ema_decay=ema_decay)
    on_workers(num_workers, train, straight, storage)
    on_workers(num_workers, run_until, stopped, storage, 1, 4)
    assert Run(storage, stopped.run).checkpoints() in ([3, 4], [3, 5])
    on_workers(num_workers, train, stopped, storage)
    assert_equal(storage, straight.run, stopped.run)


@pytest.mark.parametrize(("before", "after"), [(2, 1), (1, 3)])
def test_at_another_number_of_workers_every_step_has_the_same_samples(
    storage: Storage, before: int, after: int
) -> None:
    straight, changed = named(storage, "straight"), named(storage, "changed")
    train(straight, storage)
    on_workers(before, run_until, changed, storage, 0, 4)
    on_workers(after, train, changed, storage)
    seen = Run(storage, changed.run).read_samples()
    assert seen == Run(storage, straight.run).read_samples()
    ids = [identity for step in seen for identity in step]
    num_rows = len(set(ids))
    for epoch in range(3):
        assert len(set(ids[epoch * num_rows : (epoch + 1) * num_rows])) == num_rows
