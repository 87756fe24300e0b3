"""An analysis of two subjects that takes seconds."""

from typing import Any

from conftest import BACKBONE, PRETRAIN, TRANSFER
from pointlab.config import merge, validate
from pointlab.experiment import AnalyseExperiment
from pointlab.storage import Storage

BRIEF = merge(PRETRAIN, {"training": {"epochs": 1}})
FINE_TUNED = merge(
    TRANSFER,
    {"pretrained": BRIEF, "shifted": None, "protocol": "full", "training": {"epochs": 1}, "test": False},
)
SUBJECTS = {"tuned": FINE_TUNED, "random": {"kind": "random", "backbone": BACKBONE}}


def settings_of(storage: Storage, **changes: Any) -> dict[str, Any]:
    base = {
        "kind": "analyse",
        "name": "tiny-analysis",
        "subjects": SUBJECTS,
        "num_clouds": 60,
        "analysis": {"num_neighbours": 3, "probe": {"penalties": [0.01]}},
        "storage": {"root": storage.address},
    }
    return base | changes


def tiny_analyse(storage: Storage, **changes: Any) -> AnalyseExperiment:
    experiment: AnalyseExperiment = validate(AnalyseExperiment, settings_of(storage, **changes), "test")
    return experiment
