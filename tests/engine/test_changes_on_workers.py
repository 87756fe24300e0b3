"""Settings that change in mid-training, on two workers of Ray Train."""

import pytest

from conftest import BACKBONE, tiny_transfer
from pointlab.launch import resolve, run
from pointlab.storage import Storage
from pointlab.training import Run

pytestmark = [pytest.mark.slow, pytest.mark.ray, pytest.mark.usefixtures("ray_session")]


def test_a_change_on_two_workers_holds_after_a_checkpoint_before_it_was_gone_on_from(
    storage: Storage,
) -> None:
    """The workers enter the second phase together, and the first one again where its last state is lost."""
    own = {"pretrained": None, "backbone": BACKBONE, "shifted": None, "protocol": "full", "test": False}
    change = {"epoch": 1, "settings": {"training.optimiser.learning_rate": 3e-3}}
    launch = {"kind": "ray", "num_workers": 2, "cpus_per_worker": 0.5}
    kept = {"keep_checkpoints": 9, "checkpoint_every": 1}
    experiment = tiny_transfer(storage, **own, changes=[change], launch=launch, training=kept)
    undisturbed = run(experiment).record
    at = Run(storage, resolve(experiment, storage).run)
    log, steps = at.read_log(), at.checkpoints()
    assert undisturbed is not None
    assert undisturbed.samples_seen == 16 * steps[-1]
    storage.delete_folder(f"{at.path}/record")
    for step in steps[1:]:  # the first one lies before the change
        storage.delete_folder(at.checkpoint_path(step))
    again = run(experiment).record
    assert again is not None
    assert again.metrics == undisturbed.metrics
    assert at.read_log() == log
