"""Checkpoints are stored behind the loop's back, one at a time, and what fails there is not lost."""

import threading
from collections.abc import Mapping
from typing import Any

import pytest
import torch

from conftest import tiny_pretrain
from pointlab.errors import StorageError
from pointlab.experiment.pretraining import pretrain
from pointlab.experiment.resolve import Resolved
from pointlab.experiment.stored_models import read_module
from pointlab.launch import resolve
from pointlab.storage import Storage
from pointlab.training import LocalContext, Run
from pointlab.training.checkpoint import Snapshot
from pointlab.training.saver import Saver
from training.test_loop import Killed, Recorder

SPARSE = {"validate_every": 2, "checkpoint_every": 2, "log_every": 1, "keep_checkpoints": 10}
"""Checkpoints at steps 2, 4 and 6, which is the last."""


class Gated(Storage):
    """A store that lets no file of a checkpoint through while its gate is closed."""

    def __init__(self, address: str) -> None:
        super().__init__(address)
        self.gate = threading.Event()

    def write(self, path: str, content: bytes) -> None:
        if "/checkpoints/" in path and not self.gate.wait(20):
            raise StorageError("The gate stayed closed: training waited for its checkpoint.")
        super().write(path, content)


class Steering(LocalContext):
    """A context that opens the store's gate after some step."""

    def __init__(self, storage: Gated, opens_at: int) -> None:
        super().__init__(storage)
        self.gated, self.opens_at = storage, opens_at

    def watch(self, stage: str, done: int, total: int, figures: Mapping[str, float]) -> None:
        if done >= self.opens_at:
            self.gated.gate.set()


def one_run(storage: Storage, **changes: Any) -> Resolved[Any]:
    return resolve(tiny_pretrain(storage, **changes), storage)


def test_training_goes_on_while_a_checkpoint_is_stored(storage: Storage) -> None:
    gated = Gated(storage.address)
    one = one_run(gated, training=SPARSE)
    pretrain(one, Steering(gated, opens_at=3))
    assert Run(storage, one.run).checkpoints() == [2, 4, 6]


def test_at_most_one_checkpoint_is_on_its_way(storage: Storage) -> None:
    gated = Gated(storage.address)
    with Saver(Run(gated, "r"), keep=3) as saver:
        submitted: list[int] = []

        def submit_all() -> None:
            for step in (1, 2, 3):
                snapshot = Snapshot(step, {"w.safetensors": {"w": torch.zeros(9)}}, {"p.json": {}})
                saver.submit(snapshot, {})
                submitted.append(step)

        training = threading.Thread(target=submit_all)
        training.start()
        training.join(0.3)
        assert submitted == [1]  # the second waits for the first
        gated.gate.set()
        training.join(20)
    assert submitted == [1, 2, 3]
    assert Run(storage, "r").checkpoints() == [1, 2, 3]


def test_a_snapshot_does_not_follow_the_weights_that_train_on(storage: Storage) -> None:
    gated = Gated(storage.address)
    late, soon = one_run(gated, name="late", training=SPARSE), one_run(gated, name="soon", training=SPARSE)
    pretrain(late, Steering(gated, opens_at=3))
    pretrain(soon, LocalContext(storage))
    one, other = (Run(storage, r.run).read_checkpoint(2, skip=["state/progress.json"]) for r in (late, soon))
    assert one == other


def test_a_store_that_fails_behind_the_loop_stops_it(storage: Storage) -> None:
    class Broken(Storage):
        def write(self, path: str, content: bytes) -> None:
            if "/checkpoints/" in path:
                raise StorageError("The disk is broken.")
            super().write(path, content)

    broken = Broken(storage.address)
    one = one_run(broken, training={**SPARSE, "epochs": 200, "validate_every": 200, "checkpoint_every": 300})
    reached: list[int] = []

    class Counting(LocalContext):
        def watch(self, stage: str, done: int, total: int, figures: Mapping[str, float]) -> None:
            reached.append(done)

    with pytest.raises(StorageError, match="disk is broken"):
        pretrain(one, Counting(broken))
    assert 300 <= reached[-1] < 600, "it is noticed long before the next checkpoint, or the end, is due"
    assert Run(storage, one.run).checkpoints() == []


def test_a_damaged_checkpoint_does_not_outlive_good_ones(storage: Storage) -> None:
    one = one_run(storage, training={**SPARSE, "keep_checkpoints": 1})
    pretrain(one, LocalContext(storage))
    run = Run(storage, one.run)
    assert run.checkpoints() == [6]
    storage.write(f"{run.checkpoint_path(6)}/weights.safetensors", b"damaged")
    storage.delete_folder(f"runs/{one.run}/model")
    with pytest.raises(Killed):
        pretrain(one, Recorder(storage, die_before=5))
    assert run.checkpoints() == [4]


@pytest.mark.parametrize("name", ["weights.safetensors", "state/progress.json"])
def test_a_damaged_checkpoint_is_passed_over_for_the_one_before(
    storage: Storage, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    one = one_run(storage, training=SPARSE)
    pretrain(one, LocalContext(storage))
    before, log = read_module(storage, one.run, "backbone"), Run(storage, one.run).read_log()
    path = f"{Run(storage, one.run).checkpoint_path(6)}/{name}"
    content = bytearray(storage.read(path))
    content[len(content) // 2] ^= 1
    storage.write(path, bytes(content))
    storage.delete_folder(f"runs/{one.run}/model")
    pretrain(one, LocalContext(storage))
    assert "step 6 is passed over" in caplog.text
    after = read_module(storage, one.run, "backbone")
    assert all(torch.equal(before[name], after[name]) for name in before)
    assert Run(storage, one.run).read_log() == log
    assert Run(storage, one.run).read_checkpoint(6)
