"""How many times faster the geometry is than its textbook form, on this machine.

Ours and theirs take turns within one run, so that a busy neighbour slows both; each time is the median of
its turns. The textbook forms are what most repositories use: a loop over [batch, points, 3] differences
for farthest point sampling, `torch.cdist` and `topk` for neighbours, `torch.cdist` and `amin` for Chamfer.
"""

import argparse
import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from pointlab.geometry import chamfer_distance, farthest_point_sample, nearest_neighbours


@dataclass(frozen=True)
class Case:
    """One task, done our way and the textbook's."""

    name: str
    ours: Callable[[], object]
    textbook: Callable[[], object]


def textbook_sample(points: Tensor, num_samples: int) -> Tensor:
    batch, num_points, _ = points.shape
    samples = torch.zeros(batch, num_samples, dtype=torch.int64, device=points.device)
    to_chosen = torch.full((batch, num_points), 1e10, device=points.device)
    farthest, clouds = samples[:, 0], torch.arange(batch, device=points.device)
    for step in range(num_samples):
        samples[:, step] = farthest
        distances = ((points - points[clouds, farthest].unsqueeze(1)) ** 2).sum(2)
        to_chosen = torch.minimum(to_chosen, distances)
        farthest = to_chosen.argmax(1)
    return samples


def textbook_chamfer(source: Tensor, target: Tensor) -> Tensor:
    squared = torch.cdist(source, target).square()
    return squared.amin(2).mean() + squared.amin(1).mean()


def cases(device: torch.device) -> Iterator[Case]:
    def clouds(batch: int, num_points: int) -> Tensor:
        return torch.randn(batch, num_points, 3, device=device)

    for batch, num_points, samples in [(64, 1024, 64), (64, 2048, 128), (64, 1024, 1024), (8, 8192, 1024)]:
        yield sampling_case(clouds(batch, num_points), samples)
    for batch, queries, num_points, neighbours in [
        (64, 64, 1024, 32),
        (64, 128, 2048, 32),
        (2, 8192, 8192, 16),
    ]:
        yield neighbour_case(clouds(batch, num_points), queries, neighbours)
    for batch, num_points in [(2432, 32), (16, 1024), (2, 4096)]:
        yield chamfer_case(clouds(batch, num_points).requires_grad_(), clouds(batch, num_points))


def sampling_case(points: Tensor, samples: int) -> Case:
    batch, num_points, _ = points.shape
    return Case(
        f"sample {batch} x {num_points} -> {samples}",
        lambda: farthest_point_sample(points, samples),
        lambda: textbook_sample(points, samples),
    )


def neighbour_case(points: Tensor, num_queries: int, neighbours: int) -> Case:
    batch, num_points, _ = points.shape
    queries = points[:, :num_queries].contiguous()
    return Case(
        f"neighbours {batch} x {num_queries} of {num_points}, {neighbours}",
        lambda: nearest_neighbours(queries, points, neighbours),
        lambda: torch.cdist(queries, points).topk(neighbours, largest=False),
    )


def chamfer_case(source: Tensor, target: Tensor) -> Case:
    batch, num_points, _ = source.shape
    return Case(
        f"chamfer {batch} x {num_points}, with gradient",
        lambda: torch.autograd.grad(chamfer_distance(source, target), source),
        lambda: torch.autograd.grad(textbook_chamfer(source, target), source),
    )


def seconds(task: Callable[[], object], device: torch.device) -> float:
    begin = time.perf_counter()
    task()
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter() - begin


def compare(case: Case, turns: int, device: torch.device) -> tuple[float, float]:
    """Median seconds of ours and of the textbook's, after one turn each that does not count."""
    timed = [(seconds(case.ours, device), seconds(case.textbook, device)) for _ in range(turns + 1)][1:]
    ours, textbook = zip(*timed, strict=True)
    return statistics.median(ours), statistics.median(textbook)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__,
        epilog="example: PYTHONPATH=platform python benchmarks/geometry.py --threads 1 --turns 5",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--threads", type=int, default=1, help="CPU threads of torch (default: 1)")
    parser.add_argument("--turns", type=int, default=3, help="timed turns of each form (default: 3)")
    parser.add_argument("--device", type=torch.device, default=torch.device("cpu"), help="cpu or cuda")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    print(f"torch {torch.__version__}, {options.device}, {options.threads} thread(s)")
    print(f"{'task':<42}{'ours':>10}{'textbook':>12}{'ratio':>8}")
    for case in cases(options.device):
        ours, textbook = compare(case, options.turns, options.device)
        print(f"{case.name:<42}{1e3 * ours:>7.1f} ms{1e3 * textbook:>9.1f} ms{textbook / ours:>7.1f}x")


if __name__ == "__main__":
    main()
