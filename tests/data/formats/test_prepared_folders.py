"""Every kind of folder that is read is also prepared, from its configuration to shards with their arrays."""

from collections.abc import Callable
from pathlib import Path

import pytest

from pointlab.config import validate
from pointlab.data.dataset import DatasetConfig
from pointlab.data.shards import decode_shard
from pointlab.experiment import LaunchConfig
from pointlab.launch import prepare
from pointlab.storage import Storage, read_manifest
from pointlab.training import ignore_progress
from written_clouds import CLOUD_FILES, make
from written_frames import write_7scenes, write_scannet_export, write_tum
from written_kitti import write_odometry
from written_scenes import write_psb, write_s3dis_npy, write_s3dis_raw, write_scannet


def write_folder(root: Path) -> None:
    for name in ("train/bed", "train/lamp", "test/bed"):
        (root / name).mkdir(parents=True)
        CLOUD_FILES["binary ply"][1](root / name / "1.ply", make())


KINDS: dict[str, tuple[dict[str, object], Callable[[Path], None], dict[str, int], set[str]]] = {
    "folder": (
        {"kind": "folder", "up_axis": "z"},
        write_folder,
        {"train": 2, "test": 1},
        {"points", "normals", "colours", "point_labels"},
    ),
    "psb": (
        {"kind": "psb_parts", "num_points": 16},
        write_psb,
        {"train": 3, "test": 1},
        {"points", "normals", "point_labels"},
    ),
    "s3dis npy": (
        {"kind": "s3dis"},
        write_s3dis_npy,
        {"train": 2, "test": 1},
        {"points", "colours", "point_labels"},
    ),
    "s3dis raw": (
        {"kind": "s3dis", "form": "raw"},
        write_s3dis_raw,
        {"train": 2, "test": 1},
        {"points", "colours", "point_labels"},
    ),
    "scannet": (
        {"kind": "scannet"},
        write_scannet,
        {"train": 3, "test": 1},
        {"points", "colours", "point_labels"},
    ),
    "7-scenes": (
        {"kind": "rgbd_frames", "style": "7scenes"},
        write_7scenes,
        {"train": 8, "test": 4},
        {"points", "colours"},
    ),
    "semantic kitti": (
        {"kind": "kitti", "layout": "odometry", "colours": "reflectance"},
        write_odometry,
        {"train": 4, "validation": 2, "test": 2},
        {"points", "colours", "point_labels"},
    ),
    "tum": ({"kind": "rgbd_frames", "style": "tum"}, write_tum, {"train": 2}, {"points", "colours"}),
    "scannet frames": (
        {"kind": "rgbd_frames", "style": "scannet", "frames_per_cloud": 2},
        write_scannet_export,
        {"train": 2},
        {"points", "colours"},
    ),
}


@pytest.mark.parametrize("name", KINDS)
def test_every_kind_is_prepared_with_its_splits_and_arrays(name: str, tmp_path: Path) -> None:
    source, write, rows, arrays = KINDS[name]
    root, storage = tmp_path / "source", Storage(str(tmp_path / "store"))
    root.mkdir()
    write(root)
    settings = {
        "name": "mine",
        "source": source,
        "root": str(root),
        "num_points": 8,
        "normalise": "none",
        "validation_fraction": 0,
    }
    config = validate(DatasetConfig, settings, "test")
    dataset = prepare(config, storage, LaunchConfig(kind="local"), ignore_progress)
    manifest = read_manifest(storage, f"datasets/{dataset}")
    assert manifest is not None
    assert manifest.details["rows"] == rows
    shard = next(file for file in manifest.files if file.startswith("train"))
    columns = decode_shard(storage.read(f"datasets/{dataset}/{shard}"))
    assert set(columns.per_point) == arrays
    assert len(columns.ids) == rows["train"]
    assert len(columns.per_point["points"]) == 8 * rows["train"]
