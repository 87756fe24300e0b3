"""How fast a set is prepared, and in how much memory: in this process against on Ray.

Both make the same shards of `shapes` with the same functions; they take turns, so that a busy neighbour
slows both. Memory is resident size: of this process alone, and for Ray of this process with all that it
started, Ray's own services included; pages that several processes share count once for each.
"""

import argparse
import contextlib
import os
import statistics
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal

import torch

from pointlab.config import validate
from pointlab.data.builtin.objects import CLASSES
from pointlab.data.dataset import DatasetConfig
from pointlab.engine.session import connect
from pointlab.experiment import LaunchConfig
from pointlab.launch import prepare
from pointlab.storage import open_storage
from pointlab.training import ignore_progress

Place = Literal["local", "ray"]
NAMES: dict[Place, str] = {"local": "in this process", "ray": "on Ray"}
MEGABYTE = 1 << 20


def resident_bytes(place: Place) -> int:
    """Resident size of this process and, on Ray, of every process below it."""
    import psutil  # comes with ray, which puts it on the path

    total = 0
    this = psutil.Process()
    for process in [this, *(this.children(recursive=True) if place == "ray" else [])]:
        with contextlib.suppress(psutil.NoSuchProcess):
            total += process.memory_info().rss
    return total


@dataclass
class MemoryWatch:
    """The resident size now and then, from a thread; `peak` is the largest seen."""

    place: Place
    interval: float = 0.1
    start: int = 0
    peak: int = 0
    is_over: threading.Event = field(default_factory=threading.Event)

    @contextlib.contextmanager
    def watching(self) -> Iterator[None]:
        """Watch while the context lasts."""
        self.start = self.peak = resident_bytes(self.place)
        watcher = threading.Thread(target=self._watch)
        watcher.start()
        try:
            yield
        finally:
            self.is_over.set()
            watcher.join()

    def _watch(self) -> None:
        while not self.is_over.wait(self.interval):
            self.peak = max(self.peak, resident_bytes(self.place))


@dataclass(frozen=True)
class Turn:
    """One preparation: its speed, the largest resident size, and how much that was above the start."""

    clouds_per_second: float
    peak: int
    growth: int


def configured(num_clouds: int, num_points: int, clouds_per_shard: int) -> DatasetConfig:
    """Shapes of twice the points that are kept, as in the demo; no test split."""
    source = {"kind": "shapes", "num_train_per_class": num_clouds // len(CLASSES), "num_test_per_class": 0}
    settings = {"name": "shapes", "num_points": num_points, "clouds_per_shard": clouds_per_shard}
    config: DatasetConfig = validate(
        DatasetConfig, settings | {"source": source | {"num_points": 2 * num_points}}, "the benchmark"
    )
    return config


def take_turn(config: DatasetConfig, place: Place) -> Turn:
    """Prepare the set into a new folder."""
    memory = MemoryWatch(place)
    with tempfile.TemporaryDirectory() as folder, memory.watching():
        begin = time.perf_counter()
        prepare(config, open_storage(folder), LaunchConfig(kind=place), ignore_progress)
        seconds = time.perf_counter() - begin
    num_clouds = len(config.source.index(None).rows)
    return Turn(num_clouds / seconds, memory.peak, memory.peak - memory.start)


def show(place: Place, turns: list[Turn]) -> float:
    """Print the medians of a place; its clouds a second."""
    speed = statistics.median(turn.clouds_per_second for turn in turns)
    peak, growth = max(turn.peak for turn in turns), max(turn.growth for turn in turns)
    print(f"{NAMES[place]:<18}{speed:>10.1f}{peak / MEGABYTE:>12.0f} MB{growth / MEGABYTE:>12.0f} MB")
    return speed


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__,
        epilog="example: PYTHONPATH=platform python benchmarks/prepare.py --clouds 800 --turns 2",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--clouds", type=int, default=3200, help="clouds to prepare (default: 3200)")
    parser.add_argument("--points", type=int, default=512, help="points kept of each (default: 512)")
    parser.add_argument("--clouds-per-shard", type=int, default=256, help="default: 256")
    parser.add_argument("--turns", type=int, default=3, help="timed turns of each place (default: 3)")
    options = parser.parse_args()
    torch.set_num_threads(1)  # as Ray gives each task
    config = configured(options.clouds, options.points, options.clouds_per_shard)
    begin = time.perf_counter()
    connect()
    take_turn(configured(len(CLASSES) * 4, options.points, 16), "ray")  # starts the workers
    print(f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} CPUs; ", end="")
    print(f"Ray and its workers started in {time.perf_counter() - begin:.1f} s")
    turns: dict[Place, list[Turn]] = {"local": [], "ray": []}
    for _ in range(options.turns):
        for place, taken in turns.items():
            taken.append(take_turn(config, place))
    print(f"{'':<18}{'clouds/s':>10}{'peak':>15}{'above start':>15}")
    local, on_ray = (show(place, taken) for place, taken in turns.items())
    print(f"on Ray / in this process: {on_ray / local:.2f}")


if __name__ == "__main__":
    main()
