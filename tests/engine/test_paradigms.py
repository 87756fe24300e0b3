"""Every paradigm fits on two Ray workers, as users run it: data from Ray's stream, gradients averaged."""

from typing import Any

import pytest

from conftest import tiny_pretrain
from pointlab.launch import run
from pointlab.paradigms import PARADIGMS
from pointlab.storage import Storage
from pointlab.training import Run

pytestmark = [pytest.mark.ray, pytest.mark.usefixtures("ray_session")]

POINTNET = {
    "kind": "pointnet",
    "widths": [8, 8, 8, 16, 32],
    "transform_widths": [8, 8, 16],
    "transform_hidden": [16, 8],
}
VIEWS = {"rotation": "vertical", "crop": [0.6, 1.0]}
SETTINGS: dict[str, dict[str, Any]] = {
    "supervised": {"paradigm": {"mixing": {"kind": "random"}}},
    "geometric": {"paradigm": {"stages": "all"}},
    "contrastive": {"paradigm": {"momentum": {"queue_size": 16}}, "augmentation": VIEWS},
    "point_contrast": {"augmentation": VIEWS},
}


@pytest.mark.parametrize("kind", PARADIGMS)
def test_a_paradigm_fits_on_two_workers(storage: Storage, kind: str) -> None:
    settings = {"name": kind.replace("_", "-"), "launch": {"kind": "ray", "num_workers": 2}}
    experiment = tiny_pretrain(storage, training={"epochs": 1}, **settings)
    changed = experiment.model_dump(mode="json") | {"paradigm": {"kind": kind}}
    if kind == "point_contrast":
        changed["backbone"] = POINTNET
    for name, values in SETTINGS[kind].items():
        changed[name] = changed[name] | values
    record = run(type(experiment).model_validate(changed)).record
    assert record is not None
    assert record.protocol == f"pretraining/{kind}"
    log = Run(storage, record.run).read_log()
    num_steps = -(-record.samples_seen // experiment.training.batch_size)
    assert [line["step"] for line in log if "train/loss" in line] == list(range(1, num_steps + 1))
    assert {"validation/loss", "train/loss"} <= record.metrics.keys()
