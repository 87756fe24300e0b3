"""Settings that change in mid-training: one run, the same in one go, in legs, and after a kill."""

from pathlib import Path
from typing import Any

import pytest

from conftest import BACKBONE, tiny_transfer
from pointlab.config import merge, nested
from pointlab.errors import ConfigError
from pointlab.experiment import TransferExperiment
from pointlab.launch import resolve, run
from pointlab.storage import Storage
from pointlab.training import Run

MIXING = {"kind": "random"}
OPTIMISER = "training.optimiser"
RATE = f"{OPTIMISER}.learning_rate"
CHANGED = {RATE: 3e-3, "augmentation.translation": 0.05, "drop_path_rate": 0.3}
CHANGES = [{"epoch": 1, "settings": CHANGED}, {"epoch": 2, "settings": {RATE: 1e-4}}]


def fine_tuning(storage: Storage, **changes: Any) -> TransferExperiment:
    """Three epochs from random weights; an epoch ends within a step."""
    own = {"pretrained": None, "backbone": BACKBONE, "shifted": None, "protocol": "full", "test": False}
    training = {"epochs": 3, **changes.pop("training", {})}
    return tiny_transfer(storage, **{**own, **changes, "training": training})


def ending(
    experiment: TransferExperiment, storage: Storage
) -> tuple[dict[str, bytes], list[dict[str, float]]]:
    """The weights that training came to, and its log, after it was run or found."""
    run(experiment)
    at = Run(storage, resolve(experiment, storage).run)
    files = at.read_checkpoint(at.checkpoints()[-1])
    return {name: content for name, content in files.items() if name.endswith(".safetensors")}, at.read_log()


def begun_by(
    storage: Storage, experiment: TransferExperiment, before: TransferExperiment
) -> TransferExperiment:
    """The experiment, whose run begins where that of the one `before` has come to."""
    run(before)
    runs = [Run(storage, resolve(each, storage).run) for each in (experiment, before)]
    runs[0].take_over(runs[1])
    assert runs[0].checkpoints() == runs[1].checkpoints()[-1:]
    return experiment


def test_a_training_that_leaves_off_is_the_beginning_of_the_whole_one(storage: Storage) -> None:
    """Its learning rate too, as the schedule is that of all epochs."""
    whole = fine_tuning(storage, training={"keep_checkpoints": 9})
    weights, log = ending(fine_tuning(storage, training={"until": 2}), storage)
    _, all_of_it = ending(whole, storage)
    at, step = Run(storage, resolve(whole, storage).run), int(log[-1]["step"])
    there = at.read_checkpoint(step)
    assert step < all_of_it[-1]["step"]
    assert weights == {name: there[name] for name in weights}
    assert log == [line for line in all_of_it if line["step"] <= step]


def test_what_goes_on_from_another_with_other_settings_is_one_training_with_a_change(
    storage: Storage,
) -> None:
    """Bit for bit, optimiser and best step included: a plain transfer takes over, as in the paper."""
    first = fine_tuning(storage, training={"until": 1})
    of_two = fine_tuning(storage, changes=CHANGES[:1])
    plain = fine_tuning(
        storage,
        training={"optimiser": {"learning_rate": 3e-3}},
        augmentation={"translation": 0.05},
        drop_path_rate=0.3,
    )
    apart = ending(begun_by(storage, plain, first), storage)
    assert ending(of_two, storage) == apart
    assert ending(fine_tuning(storage), storage) != apart


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (f"{OPTIMISER}.layer_decay", 0.5),
        (f"{OPTIMISER}.weight_decay", 0.5),
        (f"{OPTIMISER}.betas", [0.5, 0.9]),
        ("supervised.mixing", MIXING),
    ],
)
def test_each_setting_takes_hold_at_its_change(storage: Storage, path: str, value: Any) -> None:
    """As in a training that has it from the start and takes over from one that had not."""
    first = fine_tuning(storage, training={"epochs": 2, "until": 1})
    changed = fine_tuning(storage, training={"epochs": 2}, changes=[{"epoch": 1, "settings": {path: value}}])
    plain = fine_tuning(storage, **merge({"training": {"epochs": 2}}, nested(path, value)))
    apart = ending(begun_by(storage, plain, first), storage)
    assert ending(changed, storage) == apart
    assert ending(fine_tuning(storage, training={"epochs": 2}), storage) != apart


def test_legs_that_take_over_from_each_other_end_as_one_training_does(storage: Storage) -> None:
    first = fine_tuning(storage, training={"until": 1})
    second = fine_tuning(storage, training={"until": 2}, changes=CHANGES[:1])
    third = fine_tuning(storage, name="in-legs", changes=CHANGES)
    begun_by(storage, second, first)
    in_legs = ending(begun_by(storage, third, second), storage)
    assert ending(fine_tuning(storage, name="in-one-go", changes=CHANGES), storage) == in_legs


@pytest.mark.parametrize("damaged", [1, 2])
def test_a_run_goes_on_in_the_phase_of_the_checkpoint_that_is_left(storage: Storage, damaged: int) -> None:
    """With the last one damaged, or the last two, between which the settings have changed."""
    experiment = fine_tuning(storage, changes=CHANGES, training={"keep_checkpoints": 9})
    undisturbed = ending(experiment, storage)
    at = Run(storage, resolve(experiment, storage).run)
    storage.delete_folder(f"{at.path}/record")
    for step in at.checkpoints()[-damaged:]:
        storage.write(f"{at.checkpoint_path(step)}/weights.safetensors", b"damaged")
    assert ending(experiment, storage) == undisturbed


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"changes": [{"epoch": 1, "settings": {"supervised.head.kind": "mlp3"}}]}, "cannot change in mid"),
        ({"changes": [{"epoch": 1, "settings": {"training.epochs": 4}}]}, "cannot change in mid-training"),
        ({"changes": [{"epoch": 1, "settings": {RATE: -1}}]}, "greater than 0"),
        ({"changes": [{"epoch": 3, "settings": {RATE: 1e-3}}]}, "before epoch 3, where training ends"),
        ({"changes": CHANGES[::-1]}, "epochs 2, 1: expected each after"),
        ({"changes": CHANGES[:1], "protocol": "linear_probe"}, "protocol linear_probe does not fine-tune"),
        ({"training": {"until": 4}}, "until 4 exceeds epochs 3"),
        ({"changes": [{"epoch": 1, "settings": {f"{OPTIMISER}.momentum": 0.5}}]}, "momentum makes no differ"),
        (
            {
                "changes": [{"epoch": 1, "settings": {f"{OPTIMISER}.betas": [0.8, 0.9]}}],
                "training": {"optimiser": {"kind": "sgd", "learning_rate": 0.1, "weight_decay": 1e-4}},
            },
            "betas makes no difference",
        ),
    ],
)
def test_changes_that_no_training_could_follow_are_refused(
    changes: dict[str, Any], said: str, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match=said):
        fine_tuning(Storage(str(tmp_path)), **changes)


def test_a_mixture_mixes_the_fine_tuning_with_its_changes(storage: Storage) -> None:
    mixture = tiny_transfer(storage, training={"epochs": 3}, changes=CHANGES)
    assert mixture.fine_tuning is not None
    assert len(mixture.fine_tuning.changes) == len(CHANGES)


def test_transfers_without_changes_are_the_runs_that_they_were(storage: Storage) -> None:
    one, other = (resolve(fine_tuning(storage, **each), storage).run for each in ({}, {"changes": []}))
    changed = resolve(fine_tuning(storage, changes=CHANGES), storage).run
    assert one == other != changed
