"""What goes wrong inside a step is told with all that is needed to act on it."""

import json
from collections.abc import Iterator

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from conftest import tiny_pretrain
from pointlab.data.order import Share
from pointlab.data.sample import Arrays
from pointlab.errors import StorageError, TrainingError
from pointlab.experiment.pretraining import pretrain
from pointlab.launch import resolve
from pointlab.paradigms import Paradigm
from pointlab.storage import Storage
from pointlab.training import LocalContext, Run
from pointlab.training.context import FeedPlan
from pointlab.training.faults import explained_memory, require_scale


class Poisoned(LocalContext):
    """A context whose points are not numbers at one step."""

    def __init__(self, storage: Storage, step: int) -> None:
        super().__init__(storage)
        self.step, self.ids = step, np.array([])

    def feed(self, plan: FeedPlan) -> Iterator[Arrays]:
        for step, arrays in enumerate(super().feed(plan), start=plan.first_step):
            if step == self.step:
                self.ids = arrays["ids"]
                arrays["points"] = np.full_like(arrays["points"], np.nan)
            yield arrays


@pytest.mark.parametrize("clip_norm", [10.0, None])
def test_a_loss_that_is_not_finite_stops_with_the_samples_of_that_step(
    storage: Storage, clip_norm: float | None
) -> None:
    training = {"log_every": 3, "checkpoint_every": 2, "optimiser": {"clip_norm": clip_norm}}
    one = resolve(tiny_pretrain(storage, training=training), storage)
    context = Poisoned(storage, step=3)
    with pytest.raises(TrainingError, match=r"loss is nan.* at step 4;.*faults/step-00000004\.json"):
        pretrain(one, context)
    kept = json.loads(storage.read(f"runs/{one.run}/faults/step-00000004.json"))
    assert kept["workers"][0]["sample_ids"] == context.ids.tolist()
    assert Run(storage, one.run).checkpoints()[-1] < 4


@pytest.mark.parametrize("clip_norm", [10.0, None])
def test_a_gradient_that_is_not_finite_is_noticed_at_the_step_itself(
    storage: Storage, clip_norm: float | None
) -> None:
    class Burst(LocalContext):
        """One gradient is infinite in the last step, whose loss is still finite."""

        calls = 0

        def wrap(self, paradigm: Paradigm) -> nn.Module:
            parameter = next(iter(paradigm.parameters()))
            parameter.register_hook(self.spoil)
            return paradigm

        def spoil(self, gradient: Tensor) -> Tensor:
            self.calls += 1
            return gradient * torch.inf if self.calls == 6 else gradient

    one = resolve(tiny_pretrain(storage, training={"optimiser": {"clip_norm": clip_norm}}), storage)
    with pytest.raises(TrainingError, match=r"at step 6;"):
        pretrain(one, Burst(storage))
    assert Run(storage, one.run).checkpoints() == [3]


def test_an_fp16_scale_that_has_shrunk_to_nothing_ends_the_run() -> None:
    scaler = torch.amp.GradScaler("cpu", init_scale=1e-4)
    with pytest.raises(TrainingError, match=r"loss scale has shrunk to 0\.0001"):
        require_scale(scaler)
    require_scale(torch.amp.GradScaler("cpu", init_scale=1.0))


def test_no_checkpoint_is_taken_of_weights_that_are_not_numbers(storage: Storage) -> None:
    training = {"log_every": 100, "checkpoint_every": 4}
    one = resolve(tiny_pretrain(storage, training=training), storage)
    with pytest.raises(TrainingError):
        pretrain(one, Poisoned(storage, step=2))
    assert Run(storage, one.run).checkpoints() == []


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20 GiB."),
        RuntimeError("[enforce fail at alloc_cpu.cpp:1] DefaultCPUAllocator: can't allocate memory"),
        MemoryError("Unable to allocate 3 TiB"),
    ],
)
def test_memory_that_ran_out_names_the_sizes_to_try(error: Exception) -> None:
    share = Share(batch_size=32, accumulation=2)
    with pytest.raises(TrainingError, match=r"accumulation=4 .*batch_size=16"), explained_memory(share):
        raise error


def test_a_real_refusal_of_the_allocator_is_recognised() -> None:
    with pytest.raises(TrainingError, match="Memory ran out"), explained_memory(Share(batch_size=32)):
        torch.empty(1 << 60)


def test_other_errors_pass_as_they_are() -> None:
    with pytest.raises(RuntimeError, match="shapes differ"), explained_memory(Share(batch_size=32)):
        raise RuntimeError("shapes differ")


class Full(Storage):
    """A store whose disk has room for the checkpoint of step 2 and for no other."""

    def write(self, path: str, content: bytes) -> None:
        if "/checkpoints/" in path and "step-00000002" not in path:
            raise StorageError(f"{self.locate(path)} cannot be written: No space left on device.")
        super().write(path, content)


def test_a_full_disk_stops_the_run_and_leaves_the_checkpoint_before(storage: Storage) -> None:
    full = Full(storage.address)
    one = resolve(tiny_pretrain(storage, training={"checkpoint_every": 2, "keep_checkpoints": 1}), full)
    with pytest.raises(StorageError, match="No space left"):
        pretrain(one, LocalContext(full))
    assert Run(storage, one.run).checkpoints() == [2]
    assert storage.folders(f"runs/{one.run}/checkpoints") == ["step-00000002"]
