"""Workers and micro-batches: two workers are one worker that takes two micro-batches."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from conftest import tiny_pretrain
from pointlab import distributed
from pointlab.experiment.pretrain import PretrainExperiment
from pointlab.experiment.pretraining import pretrain
from pointlab.experiment.resolve import Resolved
from pointlab.experiment.stored_models import read_module
from pointlab.launch import resolve
from pointlab.paradigms import Paradigm
from pointlab.storage import Storage
from pointlab.training import LocalContext, Run
from pointlab.training.averages import Averages
from pointlab.training.checkpoint import TrainingState, capture, restore
from workers import on_workers


class DistributedContext(LocalContext):
    """The plain context, in a process of a gloo group."""

    def wrap(self, paradigm: Paradigm) -> nn.Module:
        return distributed.with_averaged_gradients(paradigm, self.device)


def train_here(resolved: Resolved[PretrainExperiment], storage: Storage) -> None:
    context = DistributedContext if distributed.world_size() > 1 else LocalContext
    pretrain(resolved, context(storage))


def weights_and_log(storage: Storage, run: str) -> tuple[dict[str, Tensor], list[dict[str, float]]]:
    weights = {**read_module(storage, run, "backbone"), **read_module(storage, run, "head")}
    return weights, Run(storage, run).read_log()


def test_two_workers_equal_one_worker_with_two_micro_batches(storage: Storage) -> None:
    alone = resolve(tiny_pretrain(storage, name="alone", training={"accumulation": 2}), storage)
    together = resolve(tiny_pretrain(storage, name="together"), storage)
    train_here(alone, storage)
    on_workers(2, train_here, together, storage)
    (one, one_log), (two, two_log) = (weights_and_log(storage, r.run) for r in (alone, together))
    is_statistic = [name.rpartition(".")[2].startswith(("running_", "num_batches")) for name in one]
    for name, statistic in zip(one, is_statistic, strict=True):
        if not statistic:
            assert torch.equal(one[name], two[name]), name
    assert any(is_statistic)
    losses = [[line["train/loss"] for line in log if "train/loss" in line] for log in (one_log, two_log)]
    assert losses[0] == losses[1]


def test_three_workers_with_uneven_shares_equal_one_worker(storage: Storage) -> None:
    alone = resolve(tiny_pretrain(storage, name="alone", training={"accumulation": 3}), storage)
    together = resolve(tiny_pretrain(storage, name="together"), storage)
    train_here(alone, storage)
    on_workers(3, train_here, together, storage)
    (one, _), (two, _) = (weights_and_log(storage, r.run) for r in (alone, together))
    assert torch.allclose(one["8.weight"], two["8.weight"], atol=1e-6)
    assert torch.allclose(one["embedder.mix.weight"], two["embedder.mix.weight"], atol=1e-5)


def _average_statistics(folder: Path) -> None:
    norm = nn.BatchNorm1d(3)
    draw = torch.Generator().manual_seed(distributed.rank())
    own = []
    for _ in range(5):
        batch = torch.randn(8, 3, generator=draw) * (1 + distributed.rank())
        own.append(batch)
        norm(batch)
    distributed.average_tensors(list(distributed.running_statistics(norm).values()))
    torch.save({"norm": norm.state_dict(), "batches": own}, folder / f"{distributed.rank()}.pt")


def test_averaging_statistics_at_a_checkpoint_equals_averaging_after_every_step(tmp_path: Path) -> None:
    on_workers(2, _average_statistics, tmp_path)
    saved = [torch.load(tmp_path / f"{rank}.pt", weights_only=True) for rank in range(2)]
    mean, variance = torch.zeros(3), torch.ones(3)
    for batches in zip(*(entry["batches"] for entry in saved), strict=True):
        mean = 0.9 * mean + 0.1 * torch.stack([batch.mean(0) for batch in batches]).mean(0)
        variance = 0.9 * variance + 0.1 * torch.stack([batch.var(0) for batch in batches]).mean(0)
    for entry in saved:
        assert torch.allclose(entry["norm"]["running_mean"], mean, atol=1e-6)
        assert torch.allclose(entry["norm"]["running_var"], variance, atol=1e-6)


class Counter(Paradigm):
    """A paradigm with state of each worker's own."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(1))
        self.queue = torch.full((2,), float(distributed.rank()))

    def forward(self, batch: Any) -> Any:
        raise AssertionError("not trained here")

    def per_rank_state(self) -> dict[str, Tensor]:
        return {"queue": self.queue}

    def load_per_rank_state(self, state: Any) -> None:
        self.queue = state["queue"]


def _save_and_restore(storage: Storage) -> None:
    paradigm, run = Counter(), Run(storage, "r")
    state = TrainingState(
        paradigm, torch.optim.AdamW(paradigm.parameters()), torch.amp.GradScaler("cpu", enabled=False)
    )
    state.progress.step = 3
    snapshot = capture(state)
    assert (snapshot is None) == (distributed.rank() > 0)
    if snapshot is not None:
        run.write_checkpoint(3, snapshot.files(), {})
    distributed.barrier()
    paradigm.queue, state.progress.step = torch.zeros(2), 0
    restore(run, state)
    assert state.progress.step == 3
    assert paradigm.queue.tolist() == [distributed.rank()] * 2


def test_every_workers_own_state_is_saved_and_restored(tmp_path: Path) -> None:
    storage = Storage(str(tmp_path))
    on_workers(2, _save_and_restore, storage)
    files = storage.files("runs/r/checkpoints/step-00000003/state")
    assert [name for name in files if name.startswith("rank-")] == [
        "rank-00000.safetensors",
        "rank-00001.safetensors",
    ]


def test_averages_weigh_by_samples() -> None:
    averages = Averages()
    averages.add({"loss": torch.tensor(1.0)}, 3)
    averages.add({"loss": torch.tensor(5.0)}, 1)
    assert averages.take() == {"loss": 2.0}
    averages.add({"loss": torch.tensor(7.0)}, 2)
    assert averages.take() == pytest.approx({"loss": 7.0})
