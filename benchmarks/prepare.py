"""How fast a set is prepared, and in how much memory, at one size and at ten times that size.

The set lies in HDF5 files in the layout of ModelNet40, 2,048 points a cloud. Three places make the same
shards with the same functions: a plain loop that reads, checks, resamples, encodes and writes each shard to
a file; `pointlab` in this process, which also verifies what it wrote, notes what is done and draws its
conclusions from the checks at the door; and `pointlab` on Ray. Each measurement is a process of its own;
rounds follow one another, so that a busy neighbour slows all. Memory is the largest resident size above that
at the start: of the process alone, and for Ray of all that it started, Ray's own services included; pages
that several processes share count once for each.
"""

import argparse
import contextlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import h5py
import numpy as np
import torch

from pointlab.config import validate
from pointlab.data.dataset import DatasetConfig
from pointlab.data.planning import make_plan
from pointlab.data.preparation import make_shard
from pointlab.engine.session import connect
from pointlab.experiment import LaunchConfig
from pointlab.launch import prepare
from pointlab.storage import open_storage
from pointlab.training import ignore_progress

PLACES = ("plain loop", "in this process", "on Ray")
MEGABYTE = 1 << 20
CLOUDS_PER_FILE = 2048
"""As in the release."""


def resident_bytes() -> int:
    """Resident size of this process and of every process below it."""
    import psutil  # comes with ray, which puts it on the path

    total = 0
    this = psutil.Process()
    for process in [this, *this.children(recursive=True)]:
        with contextlib.suppress(psutil.NoSuchProcess):
            total += process.memory_info().rss
    return total


@dataclass
class MemoryWatch:
    """The resident size now and then, from a thread; `growth` is the largest seen above the first."""

    interval: float = 0.05
    start: int = 0
    growth: int = 0
    is_over: threading.Event = field(default_factory=threading.Event)

    @contextlib.contextmanager
    def watching(self) -> Iterator[None]:
        """Watch while the context lasts."""
        self.start = resident_bytes()
        watcher = threading.Thread(target=self._watch)
        watcher.start()
        try:
            yield
        finally:
            self.is_over.set()
            watcher.join()

    def _watch(self) -> None:
        while not self.is_over.wait(self.interval):
            self.growth = max(self.growth, resident_bytes() - self.start)


def write_set(root: Path, num_clouds: int) -> None:
    """Stretched balls of 2,048 points in ten classes, in the layout of `modelnet40_ply_hdf5_2048`."""
    draw = np.random.default_rng(0)
    names = []
    for number, first in enumerate(range(0, num_clouds, CLOUDS_PER_FILE)):
        count = min(CLOUDS_PER_FILE, num_clouds - first)
        points = draw.normal(size=(count, 2048, 3)) * draw.uniform(0.2, 1, (count, 1, 3))
        points /= np.linalg.norm(points, axis=2).max(1)[:, None, None]
        names.append(f"ply_data_train{number}.h5")
        with h5py.File(root / names[-1], "w") as file:
            file.create_dataset(
                "data", data=points.astype(np.float32), compression="gzip", compression_opts=1
            )
            file["label"] = draw.integers(0, 10, (count, 1)).astype(np.uint8)
    with h5py.File(root / "ply_data_test0.h5", "w") as file:
        file["data"] = draw.normal(size=(1, 2048, 3)).astype(np.float32)
        file["label"] = np.zeros((1, 1), np.uint8)
    (root / "shape_names.txt").write_text("\n".join(f"class_{number}" for number in range(10)))
    (root / "train_files.txt").write_text("\n".join(names))
    (root / "test_files.txt").write_text("ply_data_test0.h5")


def configured(root: Path, num_points: int) -> DatasetConfig:
    """The set, its clouds cut to `num_points` in farthest-point order."""
    settings = {"name": "balls", "root": str(root), "source": {"kind": "modelnet_h5"}}
    settings |= {"num_points": num_points, "validation_fraction": 0}
    config: DatasetConfig = validate(DatasetConfig, settings, "the benchmark")
    return config


def plain_loop(config: DatasetConfig, folder: Path) -> None:
    """The same shards as files, one after the other, and nothing else."""
    plan = make_plan(config)
    for shard in plan.shards:
        (folder / shard.file).write_bytes(make_shard(config, plan.index, shard).content)


def measure(place: str, root: Path, num_points: int) -> None:
    """Prepare the set at `root` in this process, and print seconds and memory as JSON."""
    torch.set_num_threads(1)  # as Ray gives each task
    config = configured(root, num_points)
    if place == "on Ray":
        connect()
    memory = MemoryWatch()
    with tempfile.TemporaryDirectory() as folder, memory.watching():
        begin = time.perf_counter()
        if place == "plain loop":
            plain_loop(config, Path(folder))
        else:
            launch = LaunchConfig(kind="ray" if place == "on Ray" else "local")
            prepare(config, open_storage(folder), launch, ignore_progress)
        seconds = time.perf_counter() - begin
    print(json.dumps({"seconds": seconds, "growth": memory.growth}))


@dataclass(frozen=True)
class Turn:
    """One measurement: clouds a second and memory above the start."""

    rate: float
    growth: int


def take_turn(place: str, root: Path, num_clouds: int, num_points: int) -> Turn:
    """Measure in a process of its own."""
    command = [sys.executable, __file__, "--measure", place, "--root", str(root), "--points", str(num_points)]
    done = subprocess.run(command, stdout=subprocess.PIPE, check=True, text=True)
    figures = json.loads(done.stdout.splitlines()[-1])
    return Turn(num_clouds / figures["seconds"], figures["growth"])


def compare(num_clouds: int, num_points: int, num_turns: int) -> None:
    """Print one table for a set of `num_clouds`."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        write_set(root, num_clouds)
        turns: dict[str, list[Turn]] = {place: [] for place in PLACES}
        for _ in range(num_turns):
            for place, taken in turns.items():
                taken.append(take_turn(place, root, num_clouds, num_points))
    megabytes = num_clouds * 2048 * 12 / MEGABYTE
    print(f"\n{num_clouds} clouds, {megabytes:.0f} MB of points;", end=" ")
    print(f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} CPUs")
    print(f"{'':<18}{'clouds/s':>10}{'/ plain loop':>24}{'memory':>12}")
    for place, taken in turns.items():
        ratios = sorted(own.rate / plain.rate for own, plain in zip(taken, turns["plain loop"], strict=True))
        ratio = f"{statistics.median(ratios):.2f} ({ratios[0]:.2f} to {ratios[-1]:.2f})"
        growth = max(turn.growth for turn in taken) / MEGABYTE
        print(
            f"{place:<18}{statistics.median(turn.rate for turn in taken):>10.0f}{ratio:>24}{growth:>9.0f} MB"
        )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__,
        epilog="example: PYTHONPATH=platform python benchmarks/prepare.py --clouds 800 --turns 2",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--clouds", type=int, default=2048, help="clouds of the small set (default: 2048)")
    parser.add_argument("--points", type=int, default=1024, help="points kept of each (default: 1024)")
    parser.add_argument("--turns", type=int, default=3, help="turns of each place (default: 3)")
    parser.add_argument("--measure", choices=PLACES, help=argparse.SUPPRESS)
    parser.add_argument("--root", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure:
        measure(options.measure, options.root, options.points)
        return
    compare(options.clouds, options.points, options.turns)
    compare(10 * options.clouds, options.points, 1)


if __name__ == "__main__":
    main()
