"""Segmentation end to end on a tiny S3DIS: Area 5 is held out, few rooms are labelled, a probe is frozen."""

from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from pointlab.config import merge, validate
from pointlab.data.formats.s3dis import CLASSES
from pointlab.errors import ConfigError, DataError
from pointlab.experiment import EvaluateExperiment, PretrainExperiment, TransferExperiment
from pointlab.experiment.prepared_data import open_data
from pointlab.experiment.resolve import definition
from pointlab.experiment.segmented import read_scene
from pointlab.experiment.stored_models import model_manifest, read_module
from pointlab.launch import run
from pointlab.report import build_report
from pointlab.storage import Record, open_storage

FLOOR, CEILING, CHAIR = (CLASSES.index(name) for name in ("floor", "ceiling", "chair"))
ROOMS = ["Area_1_office_1", "Area_1_office_2", "Area_2_hallway_1", "Area_3_office_1", "Area_6_lobby_1"]
TEST_ROOMS = ["Area_5_office_1", "Area_5_hallway_6"]
BALL = {"num_neighbours": 8, "widths": [8, 8]}
BACKBONE = {
    "kind": "pointnet2",
    "decoder": True,
    "first": {"num_centres": 16, "balls": [BALL | {"radius": 0.8}]},
    "second": {"num_centres": 6, "balls": [BALL | {"radius": 1.6}]},
    "global_widths": [16, 16],
    "propagation_widths": [[12, 12], [12, 8], [8, 8]],
}
COMMON: dict[str, Any] = {
    "num_points": 32,
    "augmentation": {"rotation": "vertical", "scale_jointly": True, "flip": True},
    "training": {"epochs": 2, "batch_size": 2, "warmup_epochs": 0.5, "log_every": 1},
    "launch": {"kind": "local"},
}


def write_rooms(root: Path) -> Path:
    """Rooms of 60 points in the layout that PointNet's code leaves, z up: floor, ceiling, a chair between."""
    root.mkdir()
    for seed, name in enumerate([*ROOMS, *TEST_ROOMS]):
        source = np.random.default_rng(seed)
        labels = source.permuted(np.repeat([FLOOR, CEILING, CHAIR], 20))
        heights = np.choose(np.searchsorted([CEILING, FLOOR, CHAIR], labels), [2.5, 0.0, 0.8])
        table = np.concatenate([source.uniform(0, 3, (60, 2)), heights[:, None]], axis=1)
        colours = source.integers(0, 256, (60, 3))
        np.save(root / f"{name}.npy", np.concatenate([table, colours, labels[:, None]], axis=1))
    return root


def settings_in(root: Path, **changes: Any) -> dict[str, Any]:
    data = {
        "name": "s3dis",
        "source": {"kind": "s3dis", "form": "npy", "test_area": 5},
        "root": str(root / "s3dis"),
        "num_points": 60,
        "sampling": "random",
        "normalise": "none",
        "validation_fraction": 0.2,
    }
    whole = {**COMMON, "data": data, "storage": {"root": str(root / "store")}, "name": "tiny-segmentation"}
    whole |= {"kind": "transfer", "task": "segmentation", "backbone": BACKBONE}
    return merge(whole, changes)


def transfer_in(root: Path, **changes: Any) -> TransferExperiment:
    experiment: TransferExperiment = validate(TransferExperiment, settings_in(root, **changes), "test")
    return experiment


def pretraining_in(root: Path) -> PretrainExperiment:
    settings = settings_in(root) | {"kind": "pretrain", "name": "tiny-scenes"}
    settings |= {"paradigm": {"kind": "segmentation"}}
    del settings["task"]
    experiment: PretrainExperiment = validate(PretrainExperiment, settings, "test")
    return experiment


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("segmentation")
    write_rooms(root / "s3dis")
    return root


@pytest.fixture(scope="module")
def full(root: Path) -> Record:
    record = run(transfer_in(root, labelled_scenes=0.5, segmentation={"head": "mlp"})).record
    assert record is not None
    return record


@pytest.fixture(scope="module")
def probe(root: Path) -> Record:
    """A linear probe of a backbone that was pretrained on the labels of scenes, in windows."""
    pretrained = pretraining_in(root).model_dump(mode="json")
    changes = {"backbone": None, "pretrained": pretrained, "protocol": "linear_probe"}
    record = run(transfer_in(root, name="tiny-probe", scene_views={"window": 2.0}, **changes)).record
    assert record is not None
    return record


def test_area_5_is_the_test_and_all_its_points_are_named(root: Path, full: Record) -> None:
    storage = open_storage(str(root / "store"))
    data = open_data(storage, full.datasets["data"], 32)
    assert set(data.split("test").groups) == {"Area_5/office_1", "Area_5/hallway_6"}
    assert not any(
        "Area_5" in group for split in ("train", "validation") for group in data.split(split).groups
    )
    names = {"miou", "mean_class_accuracy", "accuracy", "iou/floor", "iou/ceiling", "iou/chair"}
    for split in ("test", "target-validation"):
        assert {name.partition("/")[2] for name in full.metrics if name.startswith(f"{split}/")} == names
    ious = [full.metrics[f"test/iou/{name}"] for name in ("floor", "ceiling", "chair")]
    assert full.metrics["test/miou"] == pytest.approx(np.mean(ious))
    assert {"validation/miou", "validation/loss", "train/lovasz"} <= full.metrics.keys()
    assert tuple(model_manifest(storage, full.run).details["class_names"]) == CLASSES


def test_a_share_of_the_scenes_is_trained_on_and_said(full: Record) -> None:
    assert full.protocol == "segmentation/full/50%-of-scenes"
    assert full.notes["trained on"] == "2 of 4 clouds"
    assert full.samples_seen == 2 * 2


def test_smaller_shares_lie_within_larger_ones_of_the_same_seed(root: Path, full: Record) -> None:
    data = open_data(open_storage(str(root / "store")), full.datasets["data"], 32)
    for seed in range(3):
        shares = [set(data.share_of_scenes(share, seed).tolist()) for share in (0.01, 0.5, 0.75, 1.0)]
        assert [len(rows) for rows in shares] == [1, 2, 3, 4]
        assert all(smaller < larger for smaller, larger in pairwise(shares))


def test_a_probe_leaves_every_byte_of_the_pretrained_backbone(root: Path, probe: Record) -> None:
    storage = open_storage(str(root / "store"))
    pretrained = read_module(storage, probe.parents["pretrained"], "backbone")
    stored = read_module(storage, probe.run, "backbone")
    assert stored.keys() == pretrained.keys()
    assert all(stored[name].numpy().tobytes() == pretrained[name].numpy().tobytes() for name in stored)
    assert probe.protocol == "segmentation/linear_probe"
    manifest = model_manifest(storage, probe.parents["pretrained"])
    assert tuple(manifest.details["class_names"]) == CLASSES  # of supervised pretraining on points too
    assert "trained on whole scenes, tested in windows of 2, 1 apart" in probe.notes["scenes"]


def test_the_page_tells_every_class_and_shows_a_scene_beside_its_truth(root: Path, full: Record) -> None:
    storage = open_storage(str(root / "store"))
    scene = read_scene(storage, full.run)
    assert scene.points.shape == (60, 3)
    assert set(scene.labelled) == {FLOOR, CEILING, CHAIR}
    assert scene.named.shape == scene.labelled.shape
    page = build_report(storage, [full.run])
    assert "full fine-tuning for segmentation with labels of 50% of the training scenes reaches" in page
    assert "mean IoU on the target test" in page
    from_above = '"eye":{"x":0.8,"y":0.75,"z":1.1}'
    for text in ("scene-segmented-0-0", "scene-segmented-0-1", "<td>ceiling</td>", from_above):
        assert text in page


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"protocol": "wise_ft"}, "a segmentation takes full or linear_probe"),
        ({"protocol": "linear_svm"}, "a segmentation takes full or linear_probe"),
        ({"samples_per_class": 5}, "set labelled_scenes"),
        ({"protocol": "linear_probe", "segmentation": {"head": "mlp"}}, "has a linear one"),
        ({"task": "classification", "labelled_scenes": 0.1}, "task to segmentation"),
        ({"backbone": {"decoder": False}}, "does not go with the backbone pointnet2: without its decoder"),
        ({"voxel_size": 0.05}, "a pointnet2, has no such setting"),
        ({"supervised": {"label_smoothing": 0.1}}, "supervised is set, but task segmentation does not read"),
        ({"task": "classification", "scene_views": {"window": 2.0}}, "scene_views is set, but task classif"),
        ({"segmentation": {"dropout": 0.1}}, "leave out hidden_width and dropout"),
    ],
)
def test_settings_that_do_not_go_with_the_task_are_refused(
    root: Path, changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        transfer_in(root, **changes)


def test_what_classification_reads_names_no_segmentation(root: Path) -> None:
    def named_by(**changes: Any) -> Any:
        return definition(transfer_in(root, **changes), lambda data: f"{data.name}-hash")

    assert not {"supervised", "mixture", "probe", "svm", "zero_shot"} & set(named_by())
    assert named_by(segmentation={"lovasz_weight": 0.0}) != named_by()
    assert named_by(scene_views={"window": 2.0}) != named_by()


def test_a_segmentation_is_no_classifier_of_corrupted_clouds(root: Path) -> None:
    segmentation = transfer_in(root).model_dump(mode="json")
    settings = {"kind": "evaluate", "name": "x", "classifier": segmentation, "suite": {"name": "modelnet_c"}}
    with pytest.raises((ConfigError, ValidationError), match="names points and no clouds"):
        validate(EvaluateExperiment, settings, "test")


def test_a_missing_test_split_is_told_before_anything_is_trained(root: Path) -> None:
    source = {"kind": "s3dis", "test_area": 4}
    with pytest.raises(DataError, match="has no test split"):
        run(transfer_in(root, name="tiny-untested", data={"source": source}))
    assert not list((root / "store" / "runs").glob("tiny-untested*/checkpoints"))
