"""A released ReCon classifies without training, given the towers that its file does not hold."""

from pathlib import Path

import pytest
import released
import torch
from released import Size

from pointlab.config import validate
from pointlab.errors import ConfigError
from pointlab.experiment import TransferExperiment
from pointlab.launch import run
from pointlab.storage import Storage
from tiny_recon import PICTURED
from tiny_zero_shot import ZERO_SHOT, as_folder, towers_in


def test_an_import_asks_the_towers_that_it_is_given(recon_store: Storage, tmp_path: Path) -> None:
    size = Size(width=64, depth=1, embedder=(8, 12, 16), members=8, contrast=8)
    torch.save({"base_model": released.filled(released.recon_pretrain(size))}, path := tmp_path / "r.pth")
    imported = {"kind": "import", "path": str(path), "unstored": {"num_groups": 8}}
    settings = ZERO_SHOT | {
        "pretrained": imported,
        "storage": {"root": recon_store.address},
        "data": PICTURED,
        "test": False,
    }
    with pytest.raises(ConfigError, match="expected a text_teacher beside pretrained"):
        validate(TransferExperiment, settings, "test")
    taught = settings | {"text_teacher": as_folder(towers_in(recon_store))}
    record = run(validate(TransferExperiment, taught, "test")).record
    assert record is not None
    assert "answers alone" in record.notes["ratio"]  # its pictures were said in 16 numbers, texts in 8
    assert record.notes["class words"].startswith("not known")
