"""What keeping freed memory gains: steps of a backbone with and without it, in processes that take turns.

Forward and backward on random clouds in training mode, on one thread. The C library's setting holds for a
whole process, so every measurement is a process of its own; processor seconds are compared.
"""

import argparse
import os
import resource
import statistics
import subprocess
import sys
import time
from pathlib import Path

CONFIGS = Path(__file__).resolve().parents[1] / "configs/backbones"
BACKBONES = ("small", "pointnet-small", "dgcnn-small", "pointnet", "dgcnn")
STEPS = 4


def measure(name: str, num_points: int, batch_size: int) -> None:
    """Print processor seconds of a step and the peak memory of this process in MB."""
    import torch

    from pointlab.backbones import BackboneConfig, build_backbone
    from pointlab.config import read_yaml, validate
    from pointlab.data.sample import PointBatch
    from pointlab.training.numerics import prepare_process

    prepare_process(1)
    path = CONFIGS / f"{name}.yaml"
    backbone = build_backbone(validate(BackboneConfig, read_yaml(path), str(path))).train()
    points = torch.randn(batch_size, num_points, 3)
    batch = PointBatch(points, torch.full((batch_size,), num_points), torch.arange(batch_size))
    for step in range(2 + STEPS):
        if step == 2:
            start = time.process_time()
        backbone(batch).pooled.square().mean().backward()
    seconds = (time.process_time() - start) / STEPS
    print(seconds, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)


def measured(name: str, *, returns: bool) -> tuple[float, float]:
    """The same in a process of its own."""
    sizes = ["256", "32"] if "small" in name else ["1024", "16"]
    done = subprocess.run(
        [sys.executable, __file__, "--measure", name, *sizes],
        env=os.environ | {"POINTLAB_RETURN_MEMORY": "1" if returns else "0"},
        capture_output=True,
        text=True,
        check=True,
    )
    seconds, peak = map(float, done.stdout.split())
    return seconds, peak


def show(name: str, turns: int) -> None:
    pairs = [(measured(name, returns=True), measured(name, returns=False)) for _ in range(turns)]
    ratios = sorted(returned[0] / kept[0] for returned, kept in pairs)
    peaks = [statistics.median(pair[side][1] for pair in pairs) for side in (0, 1)]
    spread = f"({ratios[0]:.2f} to {ratios[-1]:.2f})"
    print(f"{name:<16}{statistics.median(ratios):>6.2f} {spread:<18}{peaks[0]:>8.0f} MB{peaks[1]:>8.0f} MB")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__,
        epilog="example: PYTHONPATH=platform python benchmarks/allocation.py --turns 3",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--turns", type=int, default=3, help="pairs of processes for each backbone")
    parser.add_argument("--measure", nargs=3, metavar=("NAME", "POINTS", "BATCH"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure:
        name, num_points, batch_size = options.measure
        measure(name, int(num_points), int(batch_size))
        return
    print("a step that returns memory / one that keeps it; peak memory of both")
    for name in BACKBONES:
        show(name, options.turns)


if __name__ == "__main__":
    main()
