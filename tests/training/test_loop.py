"""A run is a function of its config: interrupted, shared out or repeated, it gives the same bits."""

import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from conftest import tiny_pretrain
from pointlab.data.sample import Arrays
from pointlab.errors import TrainingError, TransferError
from pointlab.experiment.pretraining import pretrain
from pointlab.experiment.resolve import Resolved
from pointlab.experiment.stored_models import read_module
from pointlab.launch import resolve, run
from pointlab.paradigms import Paradigm
from pointlab.storage import Storage
from pointlab.training import LocalContext, Run
from pointlab.training.checkpoint import load_weights
from pointlab.training.context import FeedPlan


class Killed(Exception):
    """Stands for a SIGKILL: nothing of ours catches it."""


class Recorder(LocalContext):
    """A context that notes the sample ids it feeds, and may die before some step."""

    def __init__(self, storage: Storage, die_before: int | None = None) -> None:
        super().__init__(storage)
        self.seen: list[list[int]] = []
        self.die_before = die_before

    def feed(self, plan: FeedPlan) -> Iterator[Arrays]:
        for step, arrays in enumerate(super().feed(plan), start=plan.first_step):
            if step == self.die_before:
                raise Killed
            self.seen.append(arrays["ids"].tolist())
            yield arrays


def resolved(storage: Storage, **changes: Any) -> Resolved[Any]:
    return resolve(tiny_pretrain(storage, **changes), storage)


def log_without_time(storage: Storage, name: str) -> list[dict[str, float]]:
    return Run(storage, name).read_log()


def test_an_interrupted_run_ends_with_the_bits_of_an_undisturbed_one(
    storage: Storage, prepared_root: Path
) -> None:
    straight = resolved(storage, name="straight")
    whole = Recorder(storage)
    pretrain(straight, whole)
    broken = resolved(storage, name="broken", training={"checkpoint_every": 2})
    first = Recorder(storage, die_before=5)
    with pytest.raises(Killed):
        pretrain(broken, first)
    second = Recorder(storage)
    pretrain(broken, second)
    assert first.seen[:4] + second.seen == whole.seen
    for module in ("backbone", "head"):
        one, other = read_module(storage, straight.run, module), read_module(storage, broken.run, module)
        assert all(torch.equal(one[name], other[name]) for name in one)
    assert log_without_time(storage, straight.run) == log_without_time(storage, broken.run)


def test_every_sample_is_seen_once_an_epoch(storage: Storage) -> None:
    context = Recorder(storage)
    pretrain(resolved(storage), context)
    ids = [identity for step in context.seen for identity in step]
    num_rows = len(set(ids))
    assert sorted(ids[:num_rows]) == sorted(set(ids))
    assert sorted(ids[num_rows : 2 * num_rows]) == sorted(set(ids))


def test_the_seed_decides_order_and_weights(storage: Storage) -> None:
    contexts = [Recorder(storage) for _ in range(3)]
    runs = [resolved(storage, name=name, seed=seed) for name, seed in [("a", 0), ("b", 0), ("c", 1)]]
    for one, context in zip(runs, contexts, strict=True):
        pretrain(one, context)
    assert contexts[0].seen == contexts[1].seen != contexts[2].seen
    weights = [read_module(storage, one.run, "head") for one in runs]
    assert all(torch.equal(weights[0][name], weights[1][name]) for name in weights[0])
    assert not torch.equal(weights[0]["0.weight"], weights[2]["0.weight"])


def test_the_best_validation_is_kept_and_only_then(storage: Storage) -> None:
    experiment = tiny_pretrain(storage, training={"epochs": 4, "selection": "best", "keep_checkpoints": 1})
    record = run(experiment).record
    assert record is not None
    scores = {
        line["step"]: line["validation/accuracy"]
        for line in Run(storage, record.run).read_log()
        if "validation/accuracy" in line
    }
    assert record.metrics["validation/accuracy"] == max(scores.values())
    best_step = min(step for step, score in scores.items() if score == max(scores.values()))
    assert record.notes["selected step"].startswith(f"{best_step:.0f} of ")


def test_retention_keeps_the_newest_whole_checkpoints(storage: Storage) -> None:
    one = resolved(storage, training={"checkpoint_every": 1, "keep_checkpoints": 3})
    result = pretrain(one, LocalContext(storage))
    last = result.samples_seen // 16
    assert Run(storage, one.run).checkpoints() == [last - 2, last - 1, last]


def test_a_torn_checkpoint_is_passed_over(storage: Storage) -> None:
    one = resolved(storage, training={"checkpoint_every": 1, "keep_checkpoints": 2})
    pretrain(one, LocalContext(storage))
    folder = Run(storage, one.run)
    newest = folder.checkpoints()[-1]
    before = read_module(storage, one.run, "backbone")
    storage.delete_file(f"{folder.checkpoint_path(newest)}/manifest.json")
    storage.delete_folder(f"runs/{one.run}/model")
    context = Recorder(storage)
    pretrain(one, context)
    assert len(context.seen) == 1
    after = read_module(storage, one.run, "backbone")
    assert all(torch.equal(before[name], after[name]) for name in before)


def test_a_loss_that_is_not_finite_stops_the_run(storage: Storage) -> None:
    one = resolved(storage, training={"optimiser": {"learning_rate": 1e30, "clip_norm": None}})
    with pytest.raises(TrainingError, match=r"training loss is .* at step"):
        pretrain(one, LocalContext(storage))


def test_steps_run_in_the_callers_thread_so_that_a_breakpoint_works(storage: Storage) -> None:
    threads: set[threading.Thread] = set()

    class Watched(LocalContext):
        def wrap(self, paradigm: Paradigm) -> nn.Module:
            paradigm.register_forward_pre_hook(lambda *_: threads.add(threading.current_thread()))
            return paradigm

    pretrain(resolved(storage), Watched(storage))
    assert threads == {threading.current_thread()}


def test_a_checkpoint_of_other_conditions_is_named(
    storage: Storage, caplog: pytest.LogCaptureFixture
) -> None:
    one = resolved(storage, training={"checkpoint_every": 2})
    with pytest.raises(Killed):
        pretrain(one, Recorder(storage, die_before=5))
    folder = Run(storage, one.run)
    path = f"{folder.checkpoint_path(folder.checkpoints()[-1])}/manifest.json"
    manifest = json.loads(storage.read(path))
    manifest["details"]["conditions"]["torch"] = "1.0"
    storage.write(path, json.dumps(manifest).encode())
    pretrain(one, LocalContext(storage))
    assert f"torch 1.0, now {torch.__version__}" in caplog.text
    caplog.clear()
    storage.delete_folder(f"runs/{one.run}/model")
    pretrain(one, LocalContext(storage))
    assert "other conditions" not in caplog.text


def test_a_record_says_how_a_result_came_about(storage: Storage) -> None:
    record = run(tiny_pretrain(storage)).record
    assert record is not None
    assert record.protocol == "pretraining/supervised"
    assert record.samples_seen == 16 * int(record.notes["selected step"].split(" of ")[1])
    assert record.config["training"]["epochs"] == 2
    assert record.datasets["data"] in storage.folders("datasets")
    assert record.code_version.startswith("0.")
    assert json.loads(storage.read(f"runs/{record.run}/record/record.json"))["run"] == record.run


def test_a_finished_run_is_recognised_and_rerun_makes_another(storage: Storage) -> None:
    first = run(tiny_pretrain(storage))
    again = run(tiny_pretrain(storage))
    assert again.was_finished
    assert again.record == first.record
    other = run(tiny_pretrain(storage), rerun=True)
    assert not other.was_finished
    assert other.path == f"{first.path}-attempt2"


def test_tensorboard_shows_the_log_of_a_run_once(storage: Storage, tmp_path: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    record = run(tiny_pretrain(storage)).record
    assert record is not None
    folder = f"runs/{record.run}/tensorboard"
    (name,) = storage.files(folder)
    (tmp_path / name).write_bytes(storage.read(f"{folder}/{name}"))
    events = EventAccumulator(str(tmp_path / name)).Reload()
    shown = [(event.step, event.value) for event in events.Scalars("train/loss")]
    log = [line for line in Run(storage, record.run).read_log() if "train/loss" in line]
    assert shown == [(line["step"], pytest.approx(line["train/loss"], rel=1e-6)) for line in log]


def test_weights_that_do_not_fit_are_named() -> None:
    module = torch.nn.Linear(3, 2)
    with pytest.raises(TransferError, match=r"bias is missing.*extra is unknown.*weight has shape"):
        load_weights(module, {"weight": torch.zeros(2, 4), "extra": torch.zeros(1)})
