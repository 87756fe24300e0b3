"""A fine-tuning that averages its weights publishes the average, BatchNorm statistics included."""

import pytest
import torch
from safetensors.torch import load

from conftest import tiny_transfer
from pointlab.experiment.stored_models import read_module
from pointlab.launch import run
from pointlab.storage import Storage
from pointlab.training import Run

DECAY = 0.75


@pytest.mark.parametrize("selection", ["last", "best"])
def test_the_published_classifier_is_the_average_with_its_own_statistics(
    storage: Storage, selection: str
) -> None:
    """The average of a BatchNorm network's weights, with statistics of the weights trained last, would be
    neither of the two networks."""
    training = {"ema_decay": DECAY, "selection": selection, "checkpoint_every": 1, "keep_checkpoints": 100}
    record = run(tiny_transfer(storage, protocol="full", training=training)).record
    assert record is not None
    published = read_module(storage, record.run, "backbone")
    expected = read_module(storage, record.parents["pretrained"], "backbone")
    done = Run(storage, record.run)
    last = int(record.notes["selected step"].split()[0])
    trained: dict[str, torch.Tensor] = {}
    for step in range(1, last + 1):
        weights = load(done.read_checkpoint(step)["weights.safetensors"])
        trained = {name.removeprefix("backbone."): each for name, each in weights.items()}
        for name, average in expected.items():
            is_float = average.is_floating_point()
            expected[name] = DECAY * average + (1 - DECAY) * trained[name] if is_float else trained[name]
    for name, tensor in published.items():
        assert torch.allclose(tensor.double(), expected[name].double(), atol=1e-6), name
    statistics = [name for name in published if name.endswith("running_mean")]
    assert statistics
    assert not any(torch.allclose(published[name], trained[name], atol=1e-6) for name in statistics)
