"""Preparation at scale: flat memory, any number of workers, and killed at any moment."""

import hashlib
import json
import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import h5py
import numpy as np
import pytest

from pointlab.storage import Storage

PLATFORM = str(Path(__file__).resolve().parents[2] / "platform")
CAP = 96 << 20
"""Bytes that a preparation may allocate beyond what its process has when it begins."""
PREPARE = """
    import json, resource, sys
    from pathlib import Path
    from pointlab.config import validate
    from pointlab.data.dataset import DatasetConfig
    from pointlab.experiment import LaunchConfig
    from pointlab.launch import prepare
    from pointlab.storage import open_storage
    from pointlab.training import ignore_progress

    settings, root, kind, cap, num_cpus = json.loads(sys.argv[1])
    config = validate(DatasetConfig, settings, "test")
    if kind == "ray":
        import ray
        ray.init(num_cpus=num_cpus, log_to_driver=False, logging_level="ERROR")
    if cap:  # everything is loaded: what comes on top is the preparation's own
        lines = Path("/proc/self/status").read_text().splitlines()
        used = next(int(line.split()[1]) << 10 for line in lines if line.startswith("VmData"))
        resource.setrlimit(resource.RLIMIT_DATA, (used + cap, used + cap))
    print(prepare(config, open_storage(root), LaunchConfig(kind=kind), ignore_progress))
"""
SHAPES = {
    "name": "shapes",
    "source": {"kind": "shapes", "num_train_per_class": 40, "num_test_per_class": 5, "num_points": 256},
    "num_points": 128,
    "clouds_per_shard": 16,
}


def start(
    settings: object, root: Path, kind: str = "local", *, cap: int = 0, num_cpus: int = 1
) -> subprocess.Popen[str]:
    """A preparation in a process of its own."""
    environment = os.environ | {"PYTHONPATH": PLATFORM, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    argument = json.dumps([settings, str(root), kind, cap, num_cpus])
    command = [sys.executable, "-c", textwrap.dedent(PREPARE), argument]
    return subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
    )


def finished(process: subprocess.Popen[str]) -> str:
    """The name of the set that the process has prepared."""
    output, errors = process.communicate(timeout=300)
    assert process.returncode == 0, errors
    return output.split()[-1]


def digests(root: Path, name: str) -> dict[str, str]:
    """sha256 of every file of a prepared set."""
    folder = root / "datasets" / name
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.iterdir()}


@pytest.mark.slow
def test_a_set_ten_times_as_large_as_the_memory_is_prepared(tmp_path: Path) -> None:
    release, num_clouds = tmp_path / "release", 10 * CAP // (2048 * 12) + 1
    release.mkdir()
    draw = np.random.default_rng(0)
    block = draw.normal(size=(512, 2048, 3)).astype(np.float32)
    with h5py.File(release / "ply_data_train0.h5", "w") as file:
        points = file.create_dataset("data", (num_clouds, 2048, 3), np.float32, chunks=(64, 2048, 3))
        for first in range(0, num_clouds, len(block)):
            count = min(len(block), num_clouds - first)
            points[first : first + count] = block[:count] * draw.uniform(0.5, 1, (count, 1, 3))
        file["label"] = draw.integers(0, 10, (num_clouds, 1)).astype(np.uint8)
    with h5py.File(release / "ply_data_test0.h5", "w") as file:
        file["data"], file["label"] = block[:10], np.arange(10, dtype=np.uint8)[:, None]
    (release / "shape_names.txt").write_text("\n".join(f"class_{number}" for number in range(10)))
    (release / "train_files.txt").write_text("ply_data_train0.h5")
    (release / "test_files.txt").write_text("ply_data_test0.h5")
    assert (release / "ply_data_train0.h5").stat().st_size > 10 * CAP
    settings = {"name": "large", "source": {"kind": "modelnet_h5"}, "root": str(release), "num_points": 32}
    finished(start(settings | {"validation_fraction": 0}, tmp_path / "store", cap=CAP))


@pytest.mark.slow
def test_the_memory_cap_of_that_test_can_be_missed(tmp_path: Path) -> None:
    """The cap is real: a preparation that holds all clouds at once does not get by."""
    settings = {
        "name": "shapes",
        "source": {"kind": "shapes", "num_train_per_class": 400, "num_points": 4096},
        "clouds_per_shard": 10_000,
    }
    process = start(settings, tmp_path / "store", cap=CAP)
    _, errors = process.communicate(timeout=300)
    assert process.returncode != 0
    assert "MemoryError" in errors or "memory" in errors


@pytest.mark.slow
@pytest.mark.parametrize("num_cpus", [1, 8])
def test_any_number_of_workers_makes_the_same_bytes(tmp_path: Path, num_cpus: int) -> None:
    alone = finished(start(SHAPES, tmp_path / "alone"))
    on_ray = finished(start(SHAPES, tmp_path / "ray", "ray", num_cpus=num_cpus))
    assert on_ray == alone
    assert digests(tmp_path / "ray", alone) == digests(tmp_path / "alone", alone)


def kill_after(process: subprocess.Popen[str], root: Path, num_shards: int) -> None:
    """SIGKILL the preparation once so many shards are noted."""
    deadline = time.monotonic() + 120
    while len(list(root.glob("datasets/*/unfinished/*.json"))) < num_shards:
        assert process.poll() is None, process.communicate()[1]
        assert time.monotonic() < deadline
        time.sleep(0.002)
    process.send_signal(signal.SIGKILL)
    process.communicate()


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["local", "ray"])
def test_a_preparation_killed_twice_ends_with_the_same_bytes(tmp_path: Path, kind: str) -> None:
    undisturbed = finished(start(SHAPES, tmp_path / "undisturbed"))
    root = tmp_path / "killed"
    for num_shards in (3, 12):
        kill_after(start(SHAPES, root, kind, num_cpus=2), root, num_shards)
        assert not list(root.glob("datasets/*/manifest.json"))
    kept = {path.name: path.stat().st_mtime_ns for path in root.glob("datasets/*/unfinished/*.json")}
    name = finished(start(SHAPES, root, kind, num_cpus=2))
    assert name == undisturbed
    assert digests(root, name) == digests(tmp_path / "undisturbed", name)
    changed = {path.name: path.stat().st_mtime_ns for path in (root / "datasets" / name).glob("*.parquet")}
    remade = [file for file, noted in kept.items() if changed[file.removesuffix(".json")] > noted]
    assert len(kept) >= 12
    assert not remade
    assert not (Storage(str(root)).folders(f"datasets/{name}"))
