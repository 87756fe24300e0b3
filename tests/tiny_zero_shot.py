"""A zero-shot transfer of the tiny ReCon, and the towers that it asks."""

from pathlib import Path
from typing import Any

from conftest import SHAPES
from pointlab.config import merge, validate
from pointlab.experiment import TransferExperiment
from pointlab.storage import Storage
from pointlab.teachers import hash_of
from tiny_recon import RECON

ZERO_SHOT: dict[str, Any] = {
    "kind": "transfer",
    "name": "tiny-zero-shot",
    "pretrained": RECON,
    "data": SHAPES,
    "num_points": 48,
    "protocol": "zero_shot",
    "zero_shot": {"templates": "held_out", "ratios": [0.5, 2.0]},
    "launch": {"kind": "local"},
}


def tiny_zero_shot(storage: Storage, **changes: Any) -> TransferExperiment:
    """The transfer with nested changes, in this store."""
    settings = merge(merge(ZERO_SHOT, {"storage": {"root": storage.address}}), changes)
    experiment: TransferExperiment = validate(TransferExperiment, settings, "test")
    return experiment


def towers_in(storage: Storage) -> Path:
    """The folder of the trained towers."""
    (name,) = [name for name in storage.folders("runs") if name.startswith("towers")]
    return Path(storage.locate(f"runs/{name}/model"))


def as_folder(path: Path) -> dict[str, str]:
    """A teacher that lies there."""
    return {"kind": "folder", "path": str(path), "sha256": hash_of(path)}
