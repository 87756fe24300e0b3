"""Rows: files that are torn, damaged or do not fit on the disk."""

import subprocess
from pathlib import Path

import numpy as np
import pytest

from fault_table import add_row
from faults.scene import Ending, Scene, assert_as_undisturbed, faults_of
from pointlab.storage import Storage

pytestmark = pytest.mark.fault


def damage(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(bytes(content))


def newest(scene: Scene) -> Path:
    return Path(scene.storage.root) / scene.books.checkpoint_path(scene.books.checkpoints()[-1])


def test_a_torn_checkpoint(scene: Scene, undisturbed: Ending) -> None:
    scene.killed(step=15)
    torn = newest(scene)
    (torn / "manifest.json").unlink()
    (torn / "weights.safetensors").write_bytes(b"half")
    assert scene.run() == 0, scene.said()
    assert "is incomplete and ignored" in scene.said()
    assert_as_undisturbed(
        "torn checkpoint", "in process, folder", "passed over for the one before", scene, undisturbed
    )


def test_a_flipped_byte_in_a_checkpoint(scene: Scene, undisturbed: Ending) -> None:
    scene.killed(step=15)
    damage(newest(scene) / "state" / "optimiser.safetensors")
    assert scene.run() == 0, scene.said()
    assert "is passed over" in scene.said()
    assert_as_undisturbed(
        "flipped byte in a checkpoint",
        "in process, folder",
        "passed over for the one before",
        scene,
        undisturbed,
    )


def test_a_flipped_byte_in_a_shard(scene: Scene, undisturbed: Ending, tmp_path: Path) -> None:
    scene.environment = {"POINTLAB_CACHE": str(tmp_path / "cache")}
    (dataset,) = Path(scene.storage.root).glob("datasets/shapes-*")
    shard = sorted(dataset.glob("train-*.parquet"))[0]
    whole = shard.read_bytes()
    damage(shard)
    assert scene.run() == 2
    assert f"{shard.name} is damaged: its sha256 is not the one in the manifest" in scene.said()
    shard.write_bytes(whole)
    assert scene.run() == 0, scene.said()
    assert_as_undisturbed(
        "flipped byte in a shard",
        "in process, folder",
        "stopped, names the file; repaired, it went on",
        scene,
        undisturbed,
    )


def test_a_loss_that_is_not_a_number(storage: Storage, tmp_path: Path) -> None:
    training = {"optimiser": {"learning_rate": 1e30, "clip_norm": None}}
    scene = Scene(storage, tmp_path, {"training": training})
    assert scene.run() == 2
    (fault,) = faults_of(storage, scene.name)
    assert f"at step {fault['step']}; the samples of that step are listed in" in scene.said()
    (worker,) = fault["workers"]
    assert len(worker["sample_ids"]) == 16
    assert not np.isfinite(worker["loss"]) or not np.isfinite(worker["gradient_norm"])
    add_row("NaN", "in process, folder", f"stopped, the samples of step {fault['step']} are kept")


def test_a_full_disk(scene: Scene, undisturbed: Ending, tmp_path: Path) -> None:
    """The store lies on a small file system, which really fills up and is then made larger."""
    disk = Path(scene.storage.root)
    mounted = ["mount", "-t", "tmpfs", "-o"]
    copy = tmp_path / "copy"
    disk.rename(copy)
    disk.mkdir()
    script = tmp_path / "on-a-small-disk"
    script.write_text(
        f'#!/bin/sh\n{" ".join(mounted)} size="$SIZE" none {disk}\ncp -a {copy}/. {disk}\n"$@"; code=$?\n'
        f"rm -rf {copy}; cp -a {disk} {copy}; exit $code\n"
    )
    scene.prefix = ("unshare", "--user", "--map-root-user", "--mount", "sh", str(script))
    used = int(subprocess.check_output(["du", "-sk", str(copy)]).split()[0])
    scene.environment = {"SIZE": f"{used + 4000}k"}
    assert scene.run() == 2
    assert "No space left on device" in scene.said()
    whole = sorted((copy / "runs").glob("*/checkpoints/*/manifest.json"))
    assert whole, "the checkpoints before stay"
    scene.environment = {"SIZE": "100m"}
    assert scene.run() == 0, scene.said()
    disk.rmdir()
    copy.rename(disk)
    step = int(whole[-1].parent.name.removeprefix("step-"))
    assert_as_undisturbed(
        "full disk",
        "in process, folder",
        f"stopped, step {step} stayed whole; with room it went on",
        scene,
        undisturbed,
    )
