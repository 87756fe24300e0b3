"""ReCon as small as it can be, with two towers that are its teacher of pictures and of texts.

Its fixtures are there for every test (`pytest_plugins` in `conftest.py`).
"""

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from conftest import BACKBONE, PRETRAIN, SHAPES, TRAINING
from pictured import manifest_of, pictured_cloud
from pointlab.config import merge, validate
from pointlab.data.dataset import DatasetConfig, dataset_id
from pointlab.data.shards import PreparedCloud, encode_shard
from pointlab.experiment import PretrainExperiment
from pointlab.experiment.modalities import Modality
from pointlab.launch import run
from pointlab.storage import Storage, open_storage, publish

PICTURED = merge(SHAPES, {"name": "pictured", "source": {"num_views": 2, "view_size": 16}})
"""Never rendered: `publish_in_place_of` stores noise under its name."""
SPARSE = merge(PICTURED, {"name": "sparse"})
"""Likewise, but some of its clouds have no picture, others no caption or no label."""
NAMES = ("cup", "night_stand", "lamp")
MODALITIES: tuple[Modality, ...] = ("picture", "caption", "label")
NUM_TRAIN, NUM_VALIDATION = 16, 6
TOWER = {"width": 16, "depth": 1, "num_heads": 2}
TOWERS: dict[str, Any] = {
    "kind": "teacher",
    "name": "towers",
    "data": PICTURED,
    "network": {
        "kind": "clip",
        "picture_size": 16,
        "patch_size": 8,
        "vision": TOWER,
        "text": TOWER,
        "num_features": 8,
    },
    "training": {**TRAINING, "epochs": 1},
    "launch": {"kind": "local"},
}
RECON: dict[str, Any] = merge(
    PRETRAIN,
    {
        "name": "recon",
        "data": SPARSE,
        "backbone": {**BACKBONE, "kind": "recon"},
        "paradigm": {"kind": "recon", "decoder": {"depth": 1, "num_heads": 2}},
        "image_teacher": TOWERS,
        "text_teacher": TOWERS,
        "training": {"epochs": 1},
    },
)


POINTS_ONLY = {"image_teacher": None, "text_teacher": None, "paradigm": {"image_weight": 0, "text_weight": 0}}


def towers_of(storage: Storage) -> Path:
    """The folder of the trained towers."""
    (name,) = [name for name in storage.folders("runs") if name.startswith("towers")]
    return Path(storage.locate(f"runs/{name}/model"))


def tiny_recon(storage: Storage, **changes: Any) -> PretrainExperiment:
    """ReCon and its teachers, with nested changes, in this store."""
    settings = merge(merge(RECON, {"storage": {"root": storage.address}}), changes)
    experiment: PretrainExperiment = validate(PretrainExperiment, settings, "test")
    return experiment


def publish_in_place_of(
    settings: dict[str, Any],
    storage: Storage,
    *,
    bare: int = 0,
    without: Modality | None = None,
    sizes: dict[str, tuple[int, ...]] | None = None,
) -> str:
    """Store a small set of noise with pictures and captions, to be found as what `settings` describe.

    Every `bare`-th cloud has no picture, the one after it no caption, the next no label; of what the set is
    to be `without`, no cloud has any. `sizes` are those of the pictures of each cloud of a split, two of 16
    unless told. What differs needs a name of its own: all tests share one cache.
    """
    config: DatasetConfig = validate(DatasetConfig, settings, "test")
    splits = ["train"] * NUM_TRAIN + ["validation"] * NUM_VALIDATION
    pictures = [(sizes or {}).get(split, (16, 16)) for split in splits]
    clouds = [_cloud(number, bare, without, *of_it) for number, of_it in enumerate(pictures)]
    parts = {"train": clouds[:NUM_TRAIN], "validation": clouds[NUM_TRAIN:]}
    rows = {split: len(part) for split, part in parts.items()}
    names = () if without == "label" else NAMES
    manifest = manifest_of(config.name, names, config.recipe(), **rows)
    name = dataset_id(config, config.source.index(None))
    shards = {f"{split}-00000-of-00001.parquet": encode_shard(part, 64) for split, part in parts.items()}
    publish(storage, f"datasets/{name}", "dataset", shards, manifest.model_dump(mode="json"))
    return name


def _cloud(number: int, bare: int, without: Modality | None, *sizes: int) -> PreparedCloud:
    lacks = {without} | ({MODALITIES[number % bare]} if bare and number % bare < 3 else set())
    caption = None if "caption" in lacks else f"a {number % 4} {NAMES[number % 3]}"
    prepared = pictured_cloud(number, *([] if "picture" in lacks else sizes), caption=caption)
    return replace(prepared, cloud=replace(prepared.cloud, label=None)) if "label" in lacks else prepared


@pytest.fixture(scope="session")
def recon_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with the pictured sets, the teacher on the first of them and a ReCon on the other, to be
    copied."""
    root = tmp_path_factory.mktemp("recon") / "store"
    storage = open_storage(str(root))
    publish_in_place_of(PICTURED, storage)
    publish_in_place_of(SPARSE, storage, bare=4)
    run(tiny_recon(storage))
    return root


@pytest.fixture
def recon_store(recon_root: Path, tmp_path: Path) -> Storage:
    """A copy of it of the test's own."""
    shutil.copytree(recon_root, tmp_path / "store")
    return open_storage(str(tmp_path / "store"))
