"""A study of one pretraining and two linear probes, as small as it can be."""

from typing import Any

from conftest import BACKBONE, SCANS, SHAPES, TRAINING
from pointlab.config import merge, validate
from pointlab.experiment import StudyExperiment
from pointlab.storage import Storage

STUDY: dict[str, Any] = {
    "kind": "study",
    "name": "tiny",
    "seeds": [0],
    "pretraining": {"training": {**TRAINING, "epochs": 1}},
    "starts": {"scratch": None, "supervised": {"paradigm": {"kind": "supervised"}}},
    "backbones": {"patches": BACKBONE},
    "routes": {
        "to-scans": {
            "pretrain": {"data": SHAPES, "num_points": 48},
            "transfer": {"data": SCANS, "num_points": 48},
        }
    },
    "protocols": {"probe": {"protocol": "linear_probe", "probe": {"penalties": [0.1], "max_iterations": 5}}},
    "samples_per_class": [2],
    "launch": {"kind": "local"},
}


def tiny_study(storage: Storage, **changes: Any) -> StudyExperiment:
    """The study with nested changes, in this store."""
    settings = merge(merge(STUDY, {"storage": {"root": storage.address}}), changes)
    study: StudyExperiment = validate(StudyExperiment, settings, "test")
    return study
