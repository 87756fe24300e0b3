"""A run on Ray survives what may pass, and stops at what may not."""

import os
import signal
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import survival
import torch
from ray import cloudpickle

from conftest import tiny_pretrain
from pointlab.errors import PreemptedError
from pointlab.experiment.pretrain import PretrainExperiment
from pointlab.experiment.pretraining import pretrain
from pointlab.experiment.resolve import Resolved
from pointlab.experiment.stored_models import read_module
from pointlab.interruption import stop_on_sigterm
from pointlab.launch import resolve
from pointlab.storage import Storage
from pointlab.training import LocalContext, Run, Watcher, ignore_progress

pytestmark = [pytest.mark.ray, pytest.mark.usefixtures("ray_session")]
cloudpickle.register_pickle_by_value(survival)
ON_TWO = {"kind": "ray", "num_workers": 2}


def named(storage: Storage, name: str, **changes: Any) -> PretrainExperiment:
    """Twelve steps with a checkpoint after every third."""
    changes = {"training": {"epochs": 4, "log_samples": True, **changes.pop("training", {})}, **changes}
    return tiny_pretrain(storage, name=name, **changes)


def assert_equal_but_for_statistics(storage: Storage, one: str, other: str) -> None:
    for module in ("backbone", "head"):
        weights, others = (read_module(storage, run, module) for run in (one, other))
        for name in weights:
            if not name.rpartition(".")[2].startswith(("running_", "num_batches")):
                assert torch.equal(weights[name], others[name]), name
    assert Run(storage, one).read_samples() == Run(storage, other).read_samples()


def fit(stage: Any, resolved: Resolved[Any], storage: Storage, watcher: Watcher = ignore_progress) -> None:
    """Train as the launcher does it, which turns SIGTERM into a wish."""
    from pointlab.engine.trainer import fit

    with stop_on_sigterm() as stop:
        fit(stage, resolved, storage, resolved.experiment.launch, watcher, stop=stop)


def terminate(stage: str, done: int, total: int, figures: Mapping[str, float]) -> None:
    """A watcher that ends this process, as a scheduler would, when nine steps are done."""
    if done == 9:
        os.kill(os.getpid(), signal.SIGTERM)


def test_a_killed_worker_and_a_terminated_driver_cost_time_and_nothing_else(
    storage: Storage, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    resolved = resolve(named(storage, "disturbed", launch=ON_TWO), storage)
    stage = survival.DiesThenLeaves(5, 9, tmp_path / "scar")
    with pytest.raises(PreemptedError, match=r"saved at step 1[0-2] of 12"):
        fit(stage, resolved, storage, terminate)
    assert (tmp_path / "scar").exists()
    retries = [entry.getMessage() for entry in caplog.records if "going on from" in entry.getMessage()]
    assert len(retries) == 1
    assert retries[0].endswith("(failure 1 of at most 3 without a new checkpoint)")
    undisturbed = resolve(named(storage, "straight", training={"accumulation": 2}), storage)
    for name in (resolved.run, undisturbed.run):  # one goes on, in this process; the other starts
        pretrain(replace(undisturbed, run=name), LocalContext(storage))
    assert_equal_but_for_statistics(storage, resolved.run, undisturbed.run)


def test_a_defect_is_raised_as_it_is_and_never_tried_again(storage: Storage, tmp_path: Path) -> None:
    attempts = tmp_path / "attempts"
    attempts.touch()
    resolved = resolve(named(storage, "defective", launch=ON_TWO), storage)
    with pytest.raises(TypeError, match="a defect of ours"):
        fit(survival.Defective(attempts), resolved, storage)
    assert attempts.read_text() == "x"
