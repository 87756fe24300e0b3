"""How fast samples reach a training loop: in this process and on Ray, against a torch DataLoader.

All read the same decoded shards of `shapes` and draw the same augmentation: a scale per axis, a shift, and a
random subset of a farthest-point sample 1.2 times as large. The DataLoader is what one would write without
pointlab: a map-style dataset that augments one cloud at a time, the default collation, two worker processes.
`batched` is the hardest form of it: its workers call pointlab's own function for a whole batch. Turns are
taken one after the other, so that a busy neighbour slows all. `first` is the wait for the first batch,
`start` the longest wait in the first quarter of the batches, in which Ray's stream starts; the rate is that
of the second quarter. `stall` is the share of waiting in the rest, where every batch is worked on for
`--step` milliseconds.
"""

import argparse
import functools
import itertools
import os
import statistics
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset

from pointlab.config import validate
from pointlab.data.augmentation import OVERSAMPLING, AugmentationConfig
from pointlab.data.batches import Recipe, to_batch, training_arrays
from pointlab.data.builtin.objects import CLASSES
from pointlab.data.cache import CachedSplit, open_split
from pointlab.data.dataset import DatasetConfig
from pointlab.data.order import Share
from pointlab.engine.feed import ray_feed
from pointlab.engine.session import connect
from pointlab.experiment import LaunchConfig
from pointlab.launch import prepare
from pointlab.storage import open_storage
from pointlab.training import ignore_progress
from pointlab.training.ahead import read_ahead
from pointlab.training.context import FeedPlan

PATIENCE = 300
"""Seconds after which a feed counts as hung."""
FEEDS = ("DataLoader", "DataLoader, batched", "in process", "in process, ahead", "on Ray")


class Clouds(Dataset[tuple[torch.Tensor, int]]):
    """The split as a map-style dataset of single clouds, augmented with torch's own generator."""

    def __init__(self, split: CachedSplit, num_points: int, length: int) -> None:
        self.split, self.num_points, self.length = split, num_points, length

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, position: int) -> tuple[torch.Tensor, int]:
        row = position % len(self.split)
        stored = self.split.arrays(row, ("points",))["points"]
        pool = min(len(stored), round(self.num_points * OVERSAMPLING))
        points = torch.from_numpy(stored[:pool].copy())[torch.randperm(pool)[: self.num_points]]
        scale = torch.empty(3).uniform_(2 / 3, 3 / 2)
        shift = torch.empty(3).uniform_(-0.2, 0.2)
        return points * scale + shift, int(self.split.labels[row])


class Batches(Dataset[dict[str, np.ndarray]]):
    """Whole batches of the training stream, as pointlab makes them."""

    def __init__(self, split: CachedSplit, plan: FeedPlan) -> None:
        self.split, self.plan = split, plan

    def __len__(self) -> int:
        return self.plan.num_steps

    def __getitem__(self, step: int) -> dict[str, np.ndarray]:
        return training_arrays(self.split, self.plan.share.positions(step), self.plan.recipe)


def batches_of(feed: str, plan: FeedPlan, split: CachedSplit) -> Iterator[Any]:
    """The batches of one feed, as tensors."""
    size = plan.share.batch_size
    if feed == "DataLoader":
        clouds = Clouds(split, plan.recipe.num_points, plan.num_steps * size)
        yield from DataLoader(clouds, size, shuffle=True, num_workers=2)
    elif feed == "DataLoader, batched":
        yield from DataLoader(Batches(split, plan), batch_size=None, num_workers=2)
    elif feed == "on Ray":
        yield from map(to_batch, read_ahead(ray_feed(plan), PATIENCE))
    else:
        steps = (training_arrays(split, plan.share.positions(s), plan.recipe) for s in range(plan.num_steps))
        yield from map(to_batch, read_ahead(steps, PATIENCE) if "ahead" in feed else steps)


@dataclass(frozen=True)
class Turn:
    """Seconds to the first batch, longest wait after it, samples a second, share of time spent waiting."""

    first: float
    start: float
    rate: float
    stall: float


def take_turn(batches: Iterator[Any], plan: FeedPlan, step: float) -> Turn:
    """Read all batches; in the second half also work `step` seconds on each, to see the stall."""
    quarter = plan.num_steps // 4
    waits = [wait for wait, _ in timed(itertools.islice(batches, quarter))]
    begin = time.perf_counter()
    count = sum(1 for _ in itertools.islice(batches, quarter))
    rate = count * plan.share.batch_size / (time.perf_counter() - begin)
    waited = worked = 0.0
    for wait, _ in timed(batches):
        waited += wait
        worked += work(step)
    return Turn(waits[0], max(waits[1:]), rate, waited / (waited + worked))


def timed(batches: Iterator[Any]) -> Iterator[tuple[float, Any]]:
    """Each batch with the seconds that it was waited for."""
    while True:
        begin = time.perf_counter()
        batch = next(batches, None)
        if batch is None:
            return
        yield time.perf_counter() - begin, batch


def work(seconds: float) -> float:
    """Use one core for so long, as a training step does; the seconds it really took."""
    begin = time.perf_counter()
    values = torch.ones(64, 64)
    while time.perf_counter() - begin < seconds:
        values = values @ values * 1e-3
    return time.perf_counter() - begin


def prepared(num_points: int, num_clouds: int, folder: str) -> tuple[FeedPlan, CachedSplit]:
    """A set whose clouds have spare points to draw from, decoded into the cache."""
    stored = round(num_points * OVERSAMPLING)
    source = {"kind": "shapes", "num_train_per_class": num_clouds // len(CLASSES), "num_test_per_class": 0}
    settings = {
        "name": "shapes",
        "source": source | {"num_points": stored},
        "num_points": stored,
        "sampling": "random",  # the feed does not care, and it is quicker to make
        "validation_fraction": 0,
    }
    config = validate(DatasetConfig, settings, "the benchmark")
    storage = open_storage(folder)
    name = prepare(config, storage, LaunchConfig(kind="local"), ignore_progress)
    recipe = Recipe(0, num_points, AugmentationConfig())
    return FeedPlan(storage, name, recipe, Share(1), 0, 0), open_split(storage, name, "train")


def compare(options: argparse.Namespace, num_points: int, num_clouds: int, num_samples: int) -> None:
    """Print one table for clouds of `num_points` points."""
    with tempfile.TemporaryDirectory() as folder:
        os.environ["POINTLAB_CACHE"] = f"{folder}/cache"
        plan, split = prepared(num_points, num_clouds, folder)
        plan = replace(plan, share=Share(options.batch_size), num_steps=num_samples // options.batch_size)
        take = functools.partial(take_turn, plan=plan, step=options.step / 1000)
        take(batches_of("on Ray", plan, split))  # starts the data workers
        turns: dict[str, list[Turn]] = {feed: [] for feed in FEEDS}
        for _, feed in itertools.product(range(options.turns), FEEDS):
            turns[feed].append(take(batches_of(feed, plan, split)))
    show(turns, f"{num_points} points, batches of {options.batch_size}, {plan.num_steps} steps")


def show(turns: dict[str, list[Turn]], title: str) -> None:
    """Print medians, and each rate as a multiple of the DataLoader's in the same round."""
    print(f"\n{title}; load {os.getloadavg()[0]:.1f} on {os.cpu_count()} CPUs")
    print(f"{'':<22}{'samples/s':>10}{'/ DataLoader':>26}{'first':>9}{'start':>9}{'stall':>8}")
    for feed, taken in turns.items():
        pairs = zip(taken, turns["DataLoader"], strict=True)
        ratios = sorted(own.rate / reference.rate for own, reference in pairs)
        ratio = f"{statistics.median(ratios):.2f} ({ratios[0]:.2f} to {ratios[-1]:.2f})"
        rate, first, start, stall = (
            statistics.median(getattr(turn, figure) for turn in taken)
            for figure in ("rate", "first", "start", "stall")
        )
        print(f"{feed:<22}{rate:>10.0f}{ratio:>26}{first:>7.2f} s{start:>7.2f} s{stall:>8.1%}")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__,
        epilog="example: PYTHONPATH=platform python benchmarks/feed.py --turns 3 --points 1024",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--points", type=int, nargs="*", default=[1024, 8192], help="default: 1024 8192")
    parser.add_argument("--batch-size", type=int, default=32, help="default: 32")
    parser.add_argument("--samples", type=int, default=65536, help="of 1,024 points a turn (default: 65536)")
    parser.add_argument("--step", type=float, default=5, help="milliseconds of work a step (default: 5)")
    parser.add_argument("--turns", type=int, default=3, help="default: 3")
    options = parser.parse_args()
    torch.set_num_threads(1)
    connect()
    for num_points in options.points:
        share = 1024 / num_points
        compare(options, num_points, round(3200 * share), round(options.samples * share))


if __name__ == "__main__":
    main()
