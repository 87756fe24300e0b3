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
CAP = 160 << 20
"""Bytes by which a preparation may grow beyond what its process holds when it begins."""
NUM_POINTS = 4096
PREPARE = """
    import json, resource, sys
    from pathlib import Path
    from pointlab.config import validate
    from pointlab.data.dataset import DatasetConfig
    from pointlab.experiment import LaunchConfig
    from pointlab.launch import prepare
    from pointlab.storage import open_storage
    from pointlab.training import ignore_progress

    settings, root, kind, num_cpus = json.loads(sys.argv[1])
    config = validate(DatasetConfig, settings, "test")
    if kind == "ray":
        import ray
        ray.init(num_cpus=num_cpus, log_to_driver=False, logging_level="ERROR")

    def resident(name):
        lines = Path("/proc/self/status").read_text().splitlines()
        return next(int(line.split()[1]) << 10 for line in lines if line.startswith(name))

    start = resident("VmRSS")
    name = prepare(config, open_storage(root), LaunchConfig(kind=kind), ignore_progress)
    print(resident("VmHWM") - start, name)
"""
SHAPES = {
    "name": "shapes",
    "source": {"kind": "shapes", "num_train_per_class": 40, "num_test_per_class": 5, "num_points": 256},
    "num_points": 128,
    "clouds_per_shard": 16,
}


def start(settings: object, root: Path, kind: str = "local", *, num_cpus: int = 1) -> subprocess.Popen[str]:
    """A preparation in a process of its own."""
    environment = os.environ | {"PYTHONPATH": PLATFORM, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    argument = json.dumps([settings, str(root), kind, num_cpus])
    command = [sys.executable, "-c", textwrap.dedent(PREPARE), argument]
    return subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
    )


def ended(process: subprocess.Popen[str]) -> tuple[int, str]:
    """Bytes by which the process grew at most, and the name of the set that it has prepared."""
    output, errors = process.communicate(timeout=300)
    assert process.returncode == 0, errors
    growth, name = output.split()[-2:]
    return int(growth), name


def finished(process: subprocess.Popen[str]) -> str:
    """The name of the set that the process has prepared."""
    return ended(process)[1]


def digests(root: Path, name: str) -> dict[str, str]:
    """sha256 of every file of a prepared set."""
    folder = root / "datasets" / name
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.iterdir()}


def write_release(root: Path, num_clouds: int) -> dict[str, object]:
    """Clouds in the layout of ModelNet's HDF5 files; the settings that prepare them."""
    root.mkdir()
    draw = np.random.default_rng(0)
    block = draw.normal(size=(256, NUM_POINTS, 3)).astype(np.float32)
    with h5py.File(root / "ply_data_train0.h5", "w") as file:
        points = file.create_dataset(
            "data", (num_clouds, NUM_POINTS, 3), np.float32, chunks=(16, NUM_POINTS, 3)
        )
        for first in range(0, num_clouds, len(block)):
            count = min(len(block), num_clouds - first)
            points[first : first + count] = block[:count] * draw.uniform(0.5, 1, (count, 1, 3))
        file["label"] = draw.integers(0, 10, (num_clouds, 1)).astype(np.uint8)
    with h5py.File(root / "ply_data_test0.h5", "w") as file:
        file["data"], file["label"] = block[:10], np.arange(10, dtype=np.uint8)[:, None]
    (root / "shape_names.txt").write_text("\n".join(f"class_{number}" for number in range(10)))
    (root / "train_files.txt").write_text("ply_data_train0.h5")
    (root / "test_files.txt").write_text("ply_data_test0.h5")
    return {
        "name": "large",
        "source": {"kind": "modelnet_h5"},
        "root": str(root),
        "num_points": 32,
        "validation_fraction": 0,
    }


@pytest.mark.slow
def test_a_set_ten_times_as_large_as_the_memory_is_prepared(tmp_path: Path) -> None:
    settings = write_release(tmp_path / "release", 10 * CAP // (NUM_POINTS * 12) + 1)
    assert (tmp_path / "release" / "ply_data_train0.h5").stat().st_size > 10 * CAP
    growth, _ = ended(start(settings, tmp_path / "store"))
    assert growth < CAP


@pytest.mark.slow
def test_the_growth_of_that_test_is_seen_where_there_is_some(tmp_path: Path) -> None:
    """A shard of large clouds that are all kept at full length is held whole, and costs what it weighs."""
    settings = write_release(tmp_path / "release", 2 * CAP // (NUM_POINTS * 12))
    whole = {"num_points": NUM_POINTS, "sampling": "random", "clouds_per_shard": 100_000}
    growth, _ = ended(start(settings | whole, tmp_path / "store"))
    assert growth > CAP


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
