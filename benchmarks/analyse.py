"""The analysis of one checkpoint: one pass for all measures against a pass for each.

It shows clouds of built-in shapes, three quarters of them to fit on and the rest to score, to the network of
configs/backbones/small.yaml, with the settings that `kind: analyse` has by default. The same function is then
asked for one measure at a time, each with its own pass over the clouds that it needs. What a measure makes of
its features afterwards costs the same either way; reading and networks are what a common pass saves. On a
CPU, seconds are those of the processor: other work on the machine hardly counts.
"""

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

import numpy as np
import torch
from step import prepared_split

from pointlab.analysis import AnalysisConfig, Subject, analyse
from pointlab.analysis.settings import Measure
from pointlab.backbones.patch_transformer import PatchTransformerConfig
from pointlab.config import read_yaml, validate
from pointlab.data.batches import evaluation_batches
from pointlab.data.builtin.objects import CLASSES
from pointlab.data.cache import CachedSplit
from pointlab.data.sample import PointBatch
from pointlab.experiment import AnalyseExperiment
from pointlab.experiment.stored_models import seeded_backbone
from pointlab.training.numerics import prepare_process

SMALL = Path(__file__).resolve().parents[1] / "configs/backbones/small.yaml"
FIELDS = AnalyseExperiment.model_fields
FIT_FRACTION, BATCH_SIZE = FIELDS["fit_fraction"].default, FIELDS["batch_size"].default
WHOLE = AnalysisConfig()
SEPARATE = {name: AnalysisConfig(measures=(name,), embedding_stages="none") for name in get_args(Measure)}
SEPARATE["drawing"] = AnalysisConfig(measures=())


@dataclass(frozen=True)
class Bench:
    """One subject, and the clouds that it is shown."""

    subject: Subject
    split: CachedSplit
    options: argparse.Namespace

    def seconds(self, config: AnalysisConfig, num_clouds: int) -> float:
        """Time of an analysis of so many clouds with these settings."""
        fit, score = np.split(np.arange(num_clouds), [round(FIT_FRACTION * num_clouds)])
        clock = time.process_time if self.options.device.type == "cpu" else time.perf_counter
        started = clock()
        analyse(
            [self.subject],
            self.batches(fit),
            self.batches(score),
            num_classes=len(CLASSES),
            config=config,
            device=self.options.device,
        )
        return clock() - started

    def batches(self, rows: np.ndarray) -> Iterator[PointBatch]:
        """These clouds as stored, read when they are asked for."""
        return evaluation_batches(self.split, BATCH_SIZE, self.options.points, ("normals",), rows=rows)


def set_up(options: argparse.Namespace, folder: Path) -> Bench:
    prepare_process(options.threads)
    split = prepared_split(folder, options.clouds, options.points)
    backbone = seeded_backbone(validate(PatchTransformerConfig, read_yaml(SMALL), str(SMALL)), seed=0)
    head = torch.nn.Linear(backbone.num_features, len(CLASSES))
    return Bench(Subject("small", backbone, head), split, options)


def compare(bench: Bench) -> None:
    """Turns of one pass and of separate ones, interleaved."""
    num_clouds, turns = bench.options.clouds, list[tuple[float, dict[str, float]]]()
    bench.seconds(WHOLE, min(4 * BATCH_SIZE, num_clouds))  # libraries are imported, memory is allocated
    for _ in range(bench.options.turns):
        together = bench.seconds(WHOLE, num_clouds)
        turns.append((together, {name: bench.seconds(one, num_clouds) for name, one in SEPARATE.items()}))
    for name in SEPARATE:
        print(f"{name:<24}{statistics.median(apart[name] for _, apart in turns):>8.1f} s")
    sums = [sum(apart.values()) for _, apart in turns]
    print(f"{'separate passes':<24}{statistics.median(sums):>8.1f} s")
    print(f"{'one pass':<24}{statistics.median(together for together, _ in turns):>8.1f} s")
    ratios = [apart / together for apart, (together, _) in zip(sums, turns, strict=True)]
    print(f"{'ratio':<24}{statistics.median(ratios):>8.2f} x ({min(ratios):.2f} to {max(ratios):.2f})")


def header(bench: Bench) -> Iterator[str]:
    """What the figures depend on."""
    options = bench.options
    yield f"torch {torch.__version__}, {options.device}, {options.threads} thread(s)"
    yield f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} CPUs"
    yield f"{options.clouds} clouds of {options.points} points, batches of {BATCH_SIZE}"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__,
        epilog="example: PYTHONPATH=platform python benchmarks/analyse.py --turns 3",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--clouds", type=int, default=2000, help="clouds of both splits (default: 2000)")
    parser.add_argument("--points", type=int, default=256, help="points of a cloud (default: 256)")
    parser.add_argument("--turns", type=int, default=3, help="turns of both ways (default: 3)")
    parser.add_argument("--threads", type=int, default=1, help="CPU threads of torch (default: 1)")
    parser.add_argument("--device", type=torch.device, default=torch.device("cpu"), help="cpu or cuda")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        os.environ["POINTLAB_CACHE"] = str(Path(folder) / "cache")
        bench = set_up(options, Path(folder))
        print(*header(bench), sep="; ")
        compare(bench)


if __name__ == "__main__":
    main()
