"""A sweep over 21 coefficients: how much its passes over the data cost besides the networks themselves.

For each architecture, at a laptop's size and at the papers', two random networks of a kind are mixed at every
coefficient, and three ways of getting their features are timed in turn on built-in shapes:

* sweep: as `transfer/sweep.py` goes through the data, for BatchNorm's statistics, for the features of the
  training clouds and for those of the validation clouds;
* bare: nothing but the networks on batches in memory whose geometry is known, once for each coefficient, to
  the same depth;
* separate: a run of its own for each coefficient, which reads, samples and groups by itself.

Shared parts are timed on their own: reading with collating, and searching (sampling, neighbours, balls). On a
CPU, seconds are those of the processor: other work on the machine hardly counts. Heads are not part of it.
"""

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from pydantic import TypeAdapter
from step import prepared_split

from pointlab.backbones import Backbone, BackboneConfig, build_backbone
from pointlab.backbones.dgcnn import nearest_points
from pointlab.backbones.patches import group_patches
from pointlab.config import read_yaml
from pointlab.data.batches import evaluation_batches
from pointlab.data.cache import CachedSplit
from pointlab.data.sample import PointBatch
from pointlab.evaluation import pooled_features
from pointlab.geometry import Places
from pointlab.training.numerics import prepare_process
from pointlab.transfer.batch_norm import batch_norms, reestimate, up_to_statistics
from pointlab.transfer.sweep import MixtureConfig, mix_backbones

CONFIGS = Path(__file__).resolve().parents[1] / "configs/backbones"
SIZES: dict[str, tuple[int, dict[str, str]]] = {
    "laptop": (
        256,
        {"patch_transformer": "small", "pointnet2": "pointnet2-small", "dgcnn": "dgcnn-small"},
    ),
    "papers": (1024, {"patch_transformer": "paper", "pointnet2": "pointnet2", "dgcnn": "dgcnn"}),
}
"""Points of a cloud, and the configuration of every architecture."""
WAYS = ("sweep", "bare", "separate", "reading", "searching")


@dataclass(frozen=True)
class Bench:
    """The backbones of a sweep, and the clouds that they are shown as training and validation data."""

    backbones: list[Backbone]
    split: CachedSplit
    num_points: int
    options: argparse.Namespace

    def batches(self) -> Iterator[PointBatch]:
        """The clouds, read when they are asked for."""
        return evaluation_batches(self.split, self.options.batch_size, self.num_points)

    def turn(self) -> dict[str, float]:
        """Seconds of every way, once each; reading and searching as often as a sweep does them."""
        held = [batch.to(self.options.device) for batch in self.batches()]
        searching = self.seconds(lambda: [search(self.backbones[0].config, batch) for batch in held])
        return {
            "sweep": self.seconds(lambda: self.sweep(self.backbones)),
            "bare": self.seconds(lambda: self.bare(held)),
            "separate": self.seconds(lambda: [self.sweep([one]) for one in self.backbones]),
            "reading": 3 * self.seconds(lambda: list(self.batches())),
            "searching": 3 * searching,
        }

    def sweep(self, backbones: list[Backbone]) -> None:
        """The passes of a sweep, with a third set of clouds as many as the training ones."""
        reestimate(backbones, self.batches(), self.options.device)
        for _ in ("train", "validation"):
            pooled_features(backbones, self.batches(), self.options.device)

    @torch.no_grad()
    def bare(self, held: list[PointBatch]) -> None:
        """The networks alone, with BatchNorm as in these passes; what they search for is kept already."""
        norms = [norm for backbone in self.backbones for norm in batch_norms(backbone)]
        for norm in norms:
            norm.train()
        self.show(held, up_to_statistics)
        for norm in norms:
            norm.eval()
        for _ in ("train", "validation"):
            self.show(held, Backbone.__call__)

    def show(self, held: list[PointBatch], read: Callable[[Backbone, PointBatch], Any]) -> None:
        """Every batch to every network."""
        for batch in held:
            for backbone in self.backbones:
                read(backbone, batch)

    def seconds(self, work: Callable[[], object]) -> float:
        """Time that the work takes."""
        on_cpu = self.options.device.type == "cpu"
        clock = time.process_time if on_cpu else time.perf_counter
        started = clock()
        work()
        if not on_cpu:
            torch.cuda.synchronize(self.options.device)
        return clock() - started


def search(config: Any, batch: PointBatch) -> None:
    """What a network of these settings finds of the points alone; the batch keeps it."""
    if config.kind == "dgcnn":
        batch.geometry(nearest_points, config.num_neighbours)
    elif config.kind == "pointnet2":
        places = batch.geometry(Places)
        for abstraction in (config.first, config.second):
            places = places.picked(abstraction.num_centres)
            for ball in abstraction.balls:
                places.balls(ball.radius, ball.num_neighbours)
    else:
        sizes = {name: getattr(config, name) for name in ("num_groups", "group_size", "skip_near_origin")}
        batch.geometry(group_patches, **sizes)


def set_up(options: argparse.Namespace, split: CachedSplit, num_points: int, name: str) -> Bench:
    """A mixture of two random networks at every coefficient."""
    config = TypeAdapter(BackboneConfig).validate_python(read_yaml(CONFIGS / f"{name}.yaml"))
    torch.manual_seed(0)
    ends = build_backbone(config), build_backbone(config)
    steps = options.coefficients - 1
    mixture = MixtureConfig(coefficients=tuple(step / steps for step in range(options.coefficients)))
    return Bench(mix_backbones(*ends, mixture, options.device), split, num_points, options)


def show(bench: Bench, kind: str) -> None:
    """Medians of seconds and ratios over turns."""
    bench.sweep(bench.backbones[:1])  # memory is allocated, kernels are chosen
    turns = [bench.turn() for _ in range(bench.options.turns)]
    medians = (f"{name} {statistics.median(turn[name] for turn in turns):.2f} s" for name in WAYS)
    print(f"{kind:<18}", *medians, sep="  ")
    for ratio, over, under in (("sweep / bare", "sweep", "bare"), ("separate / sweep", "separate", "sweep")):
        found = sorted(turn[over] / turn[under] for turn in turns)
        print(f"{'':<18}  {ratio}: {statistics.median(found):.3f} ({found[0]:.3f} to {found[-1]:.3f})")


def header(options: argparse.Namespace, num_points: int) -> Iterator[str]:
    """What the figures depend on."""
    yield f"torch {torch.__version__}, {options.device}, {options.threads} thread(s)"
    yield f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} CPUs"
    yield f"{options.size}: {options.clouds} clouds of {num_points} points a pass"
    yield f"batches of {options.batch_size}, {options.coefficients} coefficients, {options.turns} turns"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__,
        epilog="example: PYTHONPATH=platform python benchmarks/sweep.py --size papers --clouds 8 --turns 1",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--size", choices=SIZES, default="laptop", help="networks (default: laptop)")
    parser.add_argument("--kind", help="one architecture of the three (default: all)")
    parser.add_argument("--clouds", type=int, default=64, help="clouds of every pass (default: 64)")
    parser.add_argument("--batch-size", type=int, default=32, help="clouds of a batch (default: 32)")
    parser.add_argument("--coefficients", type=int, default=21, help="two or more (default: 21)")
    parser.add_argument("--turns", type=int, default=5, help="timed turns (default: 5)")
    parser.add_argument("--threads", type=int, default=1, help="CPU threads of torch (default: 1)")
    parser.add_argument("--device", type=torch.device, default=torch.device("cpu"), help="cpu or cuda")
    options = parser.parse_args()
    num_points, names = SIZES[options.size]
    with tempfile.TemporaryDirectory() as folder:
        os.environ["POINTLAB_CACHE"] = str(Path(folder) / "cache")
        prepare_process(options.threads)
        split = prepared_split(Path(folder), options.clouds, num_points, {})
        print(*header(options, num_points), sep="; ")
        for kind in [options.kind] if options.kind else names:
            show(set_up(options, split, num_points, names[kind]), kind)


if __name__ == "__main__":
    main()
