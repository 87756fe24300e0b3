"""A matching of a PPKT whose pictures are noise, as small as it can be."""

from typing import Any

from pointlab.config import merge, validate
from pointlab.experiment import MatchExperiment
from pointlab.storage import Storage
from tiny_recon import PICTURED, RECON, TOWERS

PPKT: dict[str, Any] = {
    **{name: value for name, value in RECON.items() if not name.endswith("_teacher")},
    "name": "ppkt",
    "data": PICTURED,
    "backbone": {"kind": "pointnet", "widths": [8, 8, 8, 12, 24], "transforms": False},
    "paradigm": {"kind": "ppkt", "num_pairs": 64, "width": 8},
    "image_teacher": TOWERS,
}


def settings_of(root: str, **changes: Any) -> dict[str, Any]:
    base = {
        "kind": "match",
        "name": "tiny-matching",
        "pretrained": PPKT,
        "split": "validation",
        "num_pairs": 6,
        "frames_shown": 2,
        "batch_size": 4,
        "storage": {"root": root},
    }
    return merge(base, changes)


def tiny_match(storage: Storage, **changes: Any) -> MatchExperiment:
    experiment: MatchExperiment = validate(MatchExperiment, settings_of(storage.address, **changes), "test")
    return experiment
