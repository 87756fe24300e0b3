"""Every paradigm fits on two Ray workers, as users run it: data from Ray's stream, gradients averaged."""

from typing import Any

import pytest

from conftest import BACKBONE, SHAPES, TRAINING, tiny_pretrain
from pointlab.config import merge, validate
from pointlab.experiment import PretrainExperiment, TeacherExperiment
from pointlab.launch import run
from pointlab.paradigms import PARADIGMS
from pointlab.storage import Storage
from pointlab.training import Run
from tiny_act import STAGE_ONE

pytestmark = [pytest.mark.ray, pytest.mark.usefixtures("ray_session")]

POINTNET = {
    "kind": "pointnet",
    "widths": [8, 8, 8, 16, 32],
    "transform_widths": [8, 8, 16],
    "transform_hidden": [16, 8],
}
ACT_PARTS = ("backbone", "paradigm", "teacher")
DECODER = {"decoder": {"depth": 1, "num_heads": 2}}
VIEWS = {"rotation": "vertical", "crop": [0.6, 1.0]}
PICTURED = merge(SHAPES, {"name": "pictured", "source": {"num_views": 1, "view_size": 16}})
TOWER = {"width": 16, "depth": 1, "num_heads": 2}
TEACHERS: dict[str, dict[str, Any]] = {
    "vit": {"picture_size": 16, **TOWER},
    "clip": {"picture_size": 16, "vision": TOWER, "text": TOWER, "num_features": 8},
}
RECON = BACKBONE | {"kind": "recon"}
CLIP = {
    "kind": "teacher",
    "name": "two-towers",
    "data": PICTURED,
    "network": {"kind": "clip"} | TEACHERS["clip"],
    "training": merge(TRAINING, {"epochs": 1}),
}
SCENES = {
    "name": "scenes",
    "source": {
        "kind": "rooms",
        "num_train": 8,
        "num_test": 0,
        "samples_per_room": 1,
        "views_per_cloud": 1,
        "image_width": 40,
        "image_height": 30,
    },
    "num_points": 64,
    "normalise": "none",
    "validation_fraction": 0.25,
}
SETTINGS: dict[str, dict[str, Any]] = {
    "supervised": {"paradigm": {"mixing": {"kind": "random"}}},
    "geometric": {"paradigm": {"stages": "all"}},
    "contrastive": {"paradigm": {"momentum": {"queue_size": 16}}, "augmentation": VIEWS},
    "point_contrast": {"augmentation": VIEWS, "backbone": POINTNET},
    "masked": {"paradigm": DECODER},
    "act_autoencoder": {part: STAGE_ONE[part] for part in ACT_PARTS},
    "act": {"paradigm": DECODER},
    "recon": {"data": PICTURED, "backbone": RECON, "paradigm": DECODER},
    "ppkt": {"data": PICTURED, "backbone": POINTNET, "paradigm": {"picture_augmentation": {}}},
    "segmentation": {"data": SCENES, "backbone": POINTNET},
}
"""What an experiment has beside the kind of its paradigm."""

EVERY_TIME = ("supervised", "ppkt")
"""Clouds alone, and pixels with a teacher: they take the paths that the others share."""


def rarely(kind: str) -> Any:
    """The kind, left to the make targets where another one goes the same way."""
    return pytest.param(kind, marks=() if kind in EVERY_TIME else pytest.mark.slow)


def experiment_of(kind: str, storage: Storage) -> PretrainExperiment:
    """A tiny pretraining on two workers; a stage I or a teacher that it needs is trained in this process."""
    name = kind.replace("_", "-")
    plain = tiny_pretrain(storage, name=name, training={"epochs": 1}).model_dump(mode="json")
    settings = plain | SETTINGS[kind] | {"launch": {"kind": "ray", "num_workers": 2}}
    settings["paradigm"] = {"kind": kind} | SETTINGS[kind].get("paradigm", {})
    if kind == "act":
        settings["latents"] = plain | SETTINGS["act_autoencoder"] | {"name": "stage-one"}
    here = {"launch": plain["launch"], "storage": plain["storage"]}
    if kind == "recon":
        settings |= dict.fromkeys(("image_teacher", "text_teacher"), CLIP | here)
    if kind == "ppkt":
        settings["image_teacher"] = CLIP | here
    return PretrainExperiment.model_validate(settings)


@pytest.mark.parametrize("kind", [rarely(kind) for kind in PARADIGMS])
def test_a_paradigm_fits_on_two_workers(storage: Storage, kind: str) -> None:
    experiment = experiment_of(kind, storage)
    record = run(experiment).record
    assert record is not None
    assert record.protocol == f"pretraining/{kind}"
    log = Run(storage, record.run).read_log()
    num_steps = -(-record.samples_seen // experiment.training.batch_size)
    assert [line["step"] for line in log if "train/loss" in line] == list(range(1, num_steps + 1))
    assert {"validation/loss", "train/loss"} <= record.metrics.keys()


@pytest.mark.parametrize("kind", [rarely(kind) for kind in TEACHERS])
def test_a_teacher_trains_on_two_workers(storage: Storage, kind: str) -> None:
    settings = {
        "name": f"teacher-{kind}",
        "data": PICTURED,
        "network": {"kind": kind} | TEACHERS[kind],
        "training": merge(TRAINING, {"epochs": 1}),
        "launch": {"kind": "ray", "num_workers": 2},
        "storage": {"root": storage.address},
    }
    record = run(validate(TeacherExperiment, settings, "test")).record
    assert record is not None
    assert record.protocol == f"teacher/{kind}"
    assert {"validation/accuracy", "train/loss"} <= record.metrics.keys()
    assert len(record.notes["sha256 of the weights"]) == 64
