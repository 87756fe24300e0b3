"""A released zero-shot file of ReCon ranks shapes too: its projections decide, not its layout."""

from pathlib import Path

import released
import torch
from released import Size

from pointlab.config import validate
from pointlab.experiment import RetrieveExperiment
from pointlab.launch import run
from pointlab.storage import Storage
from tiny_recon import PICTURED
from tiny_zero_shot import as_folder, towers_in


def test_shapes_are_looked_for_with_a_zero_shot_file(recon_store: Storage, tmp_path: Path) -> None:
    size = Size(width=64, depth=1, embedder=(8, 12, 16), members=8, contrast=8)
    torch.save({"base_model": released.filled(released.recon_zero_shot(size))}, path := tmp_path / "r.pth")
    settings = {
        "kind": "retrieve",
        "name": "with-a-released-one",
        "pretrained": {"kind": "import", "path": str(path), "unstored": {"num_groups": 8}},
        "text_teacher": as_folder(towers_in(recon_store)),
        "num_points": 48,
        "data": PICTURED,
        "split": "validation",
        "storage": {"root": recon_store.address},
    }
    experiment: RetrieveExperiment = validate(RetrieveExperiment, settings, "test")
    record = run(experiment).record
    assert record is not None
    assert experiment.pretrained.layout == "recon_classifier"
    assert record.metrics["validation/text_to_shape/shapes"] == 6
    assert "image_teacher (set it)" in record.notes["image to shape"]
