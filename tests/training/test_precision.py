"""Formats of numbers and averages of weights are part of a run's state, and resume with it."""

import json
from typing import Any

import pytest
import torch

from conftest import tiny_pretrain
from pointlab.experiment.pretraining import pretrain
from pointlab.experiment.stored_models import read_module
from pointlab.launch import resolve
from pointlab.storage import Storage
from pointlab.training import LocalContext, Run
from pointlab.training.moving_average import MovingAverage
from training.test_loop import Killed, Recorder


def all_weights(storage: Storage, run: str) -> dict[str, torch.Tensor]:
    return {
        f"{module}/{name}": tensor
        for module in ("backbone", "head")
        for name, tensor in read_module(storage, run, module).items()
    }


@pytest.mark.parametrize(
    "training",
    [
        {"precision": "fp16", "epochs": 5},
        {"precision": "bf16"},
        {"ema_decay": 0.9},
        {"ema_decay": 0.9, "selection": "best", "precision": "fp16", "accumulation": 2, "epochs": 5},
    ],
)
def test_scale_and_average_resume_bit_for_bit(storage: Storage, training: dict[str, Any]) -> None:
    straight = resolve(tiny_pretrain(storage, name="straight", training=training), storage)
    broken = resolve(
        tiny_pretrain(storage, name="broken", training={**training, "checkpoint_every": 2}), storage
    )
    pretrain(straight, LocalContext(storage))
    with pytest.raises(Killed):
        pretrain(broken, Recorder(storage, die_before=5))
    pretrain(broken, LocalContext(storage))
    one, other = all_weights(storage, straight.run), all_weights(storage, broken.run)
    assert all(torch.equal(one[name], other[name]) for name in one)
    assert Run(storage, straight.run).read_log() == Run(storage, broken.run).read_log()


def test_the_loss_scale_is_part_of_a_checkpoint(storage: Storage) -> None:
    one = resolve(tiny_pretrain(storage, training={"precision": "fp16"}), storage)
    pretrain(one, LocalContext(storage))
    run = Run(storage, one.run)
    document = json.loads(run.read_checkpoint(run.checkpoints()[-1])["state/progress.json"])
    assert document["scaler"]["scale"] < 65536, "the first steps overflow and halve it"


def test_the_average_follows_its_equation() -> None:
    weight, counter = torch.zeros(3), torch.tensor(0)
    average = MovingAverage({"weight": weight, "counter": counter}, decay=0.75)
    expected = torch.zeros(3)
    for step in range(1, 5):
        weight.copy_(torch.full((3,), float(step)))
        counter.fill_(step)
        average.update()
        expected = 0.75 * expected + 0.25 * step
    assert torch.allclose(average.average["weight"], expected)
    assert average.average["counter"] == 4
    with average.in_place():
        assert torch.allclose(weight, expected)
    assert weight.tolist() == [4.0, 4.0, 4.0]


def test_the_average_is_what_is_exported(storage: Storage) -> None:
    plain = resolve(tiny_pretrain(storage, name="plain"), storage)
    smooth = resolve(tiny_pretrain(storage, name="smooth", training={"ema_decay": 0.9}), storage)
    for one in (plain, smooth):
        pretrain(one, LocalContext(storage))
    trained = [Run(storage, one.run).read_checkpoint(6)["weights.safetensors"] for one in (plain, smooth)]
    assert trained[0] == trained[1]
    one, other = all_weights(storage, plain.run), all_weights(storage, smooth.run)
    assert not torch.equal(one["backbone/embedder.mix.weight"], other["backbone/embedder.mix.weight"])
