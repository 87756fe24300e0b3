"""LP-FT begins with the linear probe's head, and BatchNorm keeps its statistics where it is told to."""

from pathlib import Path
from typing import Any

import pytest
import torch

from conftest import SPARSE, tiny_transfer
from pointlab.errors import ConfigError
from pointlab.experiment import TransferExperiment
from pointlab.experiment.stored_models import read_module
from pointlab.launch import run
from pointlab.storage import Record, Storage

LINEAR = {"head": {"kind": "linear"}}


def tiny_lp_ft(storage: Storage, **changes: Any) -> TransferExperiment:
    return tiny_transfer(storage, protocol="lp_ft", **{"supervised": LINEAR, **changes})


def finished(experiment: TransferExperiment) -> Record:
    record = run(experiment).record
    assert record is not None
    return record


def test_it_begins_with_the_probe_of_the_pretrained_backbone(storage: Storage) -> None:
    """Without a learning rate it ends there, too."""
    still = {"selection": "last", "optimiser": {"learning_rate": 1e-30}, "minimum_learning_rate": 0}
    record = finished(tiny_lp_ft(storage, training=still))
    probe = finished(tiny_transfer(storage, protocol="linear_probe"))
    assert record.protocol == "lp_ft"
    for module in ("backbone", "head"):
        tuned = read_module(storage, record.run, module)
        probed = read_module(storage, probe.run, module)
        own = {name.removeprefix("0."): tensor for name, tensor in tuned.items()}
        assert own.keys() == probed.keys()
        for name, tensor in own.items():
            assert torch.allclose(tensor, probed[name], atol=1e-6), name
    for split in ("validation", "test"):
        assert record.metrics[f"{split}/accuracy"] == probe.metrics[f"{split}/accuracy"]
    assert record.metrics["selection/probe_accuracy"] == probe.metrics["validation/accuracy"]
    full = finished(tiny_transfer(storage, protocol="full", supervised=LINEAR, training=still))
    assert record.samples_seen == full.samples_seen + probe.samples_seen
    assert record.flops == full.flops + probe.flops
    assert probe.flops > 0


@pytest.mark.parametrize("batch_norm", ["eval", "train"])
def test_all_weights_are_trained_and_statistics_as_the_setting_says(
    storage: Storage, batch_norm: str
) -> None:
    training = {"selection": "last", "optimiser": {"learning_rate": 1e-2}}
    record = finished(tiny_lp_ft(storage, lp_ft={"batch_norm": batch_norm}, training=training))
    before = read_module(storage, record.parents["pretrained"], "backbone")
    after = read_module(storage, record.run, "backbone")
    changed = {name for name, tensor in after.items() if not torch.equal(tensor, before[name])}
    statistics = {
        name for name in after if name.endswith(("running_mean", "running_var", "num_batches_tracked"))
    }
    assert statistics & changed == (statistics if batch_norm == "train" else set())
    assert {name for name in after if name.endswith(".weight")} <= changed


def test_a_probe_on_features_that_had_been_computed_says_so(
    storage: Storage, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("POINTLAB_CACHE", str(tmp_path / "of-its-own"))
    first, second = (finished(tiny_lp_ft(storage, test=False, seed=seed)) for seed in (0, 1))
    assert "features" not in first.notes
    assert "device time is without what they cost" in second.notes["features"]


def test_it_chooses_on_the_target_alone(storage: Storage) -> None:
    """So that a shifted set needs no validation split."""
    assert tiny_lp_ft(storage, shifted=SPARSE).chooses_on == {"data": ""}


def test_a_head_of_several_layers_is_refused_when_it_is_written(storage: Storage) -> None:
    with pytest.raises(ConfigError, match=r"supervised\.head\.kind to linear"):
        tiny_transfer(storage, protocol="lp_ft")
