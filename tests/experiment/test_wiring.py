"""Parts that do not go together are refused before the first step, wherever they meet."""

import contextlib
import shutil
from pathlib import Path

import numpy as np
import pytest

from conftest import tiny_pretrain, tiny_transfer
from pointlab.config import validate
from pointlab.data.augmentation import AugmentationConfig
from pointlab.errors import ConfigError, DataError
from pointlab.experiment import EvaluateExperiment, TransferExperiment
from pointlab.experiment.prepared_data import require_shown
from pointlab.experiment.stored_models import seeded_backbone
from pointlab.launch import parents_here, run
from pointlab.storage import Storage, open_storage

TOO_SMALL = {"augmentation": {"crop": [0.15, 0.9]}}
"""Of 48 points 8 at the least; the tiny backbone takes 8, the larger one below 9."""
LARGER = {"num_groups": 9}


def test_a_crop_below_what_the_backbone_takes_is_refused_in_pretraining(storage: Storage) -> None:
    with pytest.raises(ConfigError, match=r"augmentation\.crop is \[0\.15, 0\.9\].* 8 of 48.*at least 9"):
        run(tiny_pretrain(storage, backbone=LARGER, **TOO_SMALL))


def test_a_crop_below_what_the_backbone_takes_is_refused_in_transfer(storage: Storage) -> None:
    backbone = tiny_pretrain(storage, backbone=LARGER).backbone.model_dump(mode="json")
    experiment = tiny_transfer(storage, protocol="full", **TOO_SMALL)
    settings = experiment.model_dump(mode="json") | {"pretrained": None, "backbone": backbone}
    with pytest.raises(ConfigError, match=r"augmentation\.crop"):
        validate(TransferExperiment, settings, "test")


def test_a_crop_of_exactly_what_the_backbone_takes_is_allowed(storage: Storage) -> None:
    backbone = seeded_backbone(tiny_pretrain(storage).backbone, 0)
    require_shown(48, AugmentationConfig(crop=(0.15, 0.9)), backbone)
    require_shown(4, AugmentationConfig(), backbone)  # said when the first batch comes
    with pytest.raises(ConfigError, match="as few as 7"):
        require_shown(48, AugmentationConfig(crop=(0.14, 0.9)), backbone)
    require_shown(16, AugmentationConfig(cuboid_drop=0.2), backbone)
    with pytest.raises(
        ConfigError, match=r"augmentation\.cuboid_drop is 0\.2, which leaves as few as 7 of 14"
    ):
        require_shown(14, AugmentationConfig(cuboid_drop=0.2), backbone)


def test_corrupted_clouds_are_not_for_a_classifier_that_reads_colours(storage: Storage) -> None:
    classifier = tiny_transfer(storage, protocol="full").model_dump(mode="json")
    settings = {"name": "measured", "classifier": classifier, "suite": {"name": "modelnet_c"}}
    blind = {"kind": "sparse_unet"}
    for backbone in (blind, {**blind, "colours": True}):
        settings["classifier"] |= {"pretrained": None, "backbone": backbone}
        expected = pytest.raises(ConfigError, match="no colours, which the classifier reads")
        with expected if "colours" in backbone else contextlib.nullcontext():
            validate(EvaluateExperiment, settings, "test")


def test_a_parent_that_is_made_in_a_trial_keeps_its_launch_settings(storage: Storage, tmp_path: Path) -> None:
    """Such as `strict`: a warning about its set still ends it."""
    draw = np.random.default_rng(0)
    for split in ("train", "test"):
        folder = tmp_path / "source" / split / "blob"
        folder.mkdir(parents=True)
        for number in range(4):
            np.save(folder / f"{split}{number}.npy", draw.normal(size=(64, 3)).astype(np.float32))
    shutil.copy(tmp_path / "source/train/blob/train0.npy", tmp_path / "source/test/blob/test9.npy")
    source = {
        "name": "doubtful",
        "root": str(tmp_path / "source"),
        "source": {"kind": "folder", "up_axis": "y"},
    }
    data = source | {"num_points": 48, "validation_fraction": 0.25}
    settings = tiny_transfer(storage).model_dump(mode="json")
    settings["pretrained"] |= {"data": data, "launch": {"kind": "ray", "strict": True}}
    with pytest.raises(DataError, match="problem") as caught:
        parents_here(TransferExperiment.model_validate(settings), storage)
    assert "strict" in caught.value.remedy


def test_sets_without_a_folder_are_all_named_before_any_is_prepared(tmp_path: Path) -> None:
    gone = {"name": "gone", "source": {"kind": "folder", "up_axis": "y"}, "num_points": 64}
    storage = open_storage(str(tmp_path / "store"))
    with pytest.raises(ConfigError, match=r"no gone \(data, kind folder\).*--set data\.root"):
        run(tiny_transfer(storage, data=gone, shifted=None))
    assert storage.folders("datasets") == []
