"""Sparse convolutions beside dense ones on the same grid, and how a sparse U-Net grows with its points.

Points are drawn on the walls, the floor and the furniture of a room of 6 by 3 by 6 metres. Both forms of the
convolution take turns within one run, so that a busy neighbour slows both; each time is the median of its
turns, in seconds of the processor, and holds making the kernel maps. Memory is the rise of the peak of a
process of its own for each form.
"""

import argparse
import statistics
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pointlab.backbones import build_backbone
from pointlab.backbones.sparse_convolution import SparseConvolution
from pointlab.backbones.sparse_unet import SparseUnetConfig
from pointlab.config import read_yaml, validate
from pointlab.data.sample import PointBatch
from pointlab.geometry import VoxelLevel
from pointlab.training.allocation import keep_freed_memory

ROOM = torch.tensor([6.0, 3.0, 6.0])
NUM_BOXES = 12
VOXEL_SIZE = 0.05
WIDTH = 32
SMALL = Path(__file__).parents[1] / "configs" / "backbones" / "sparse-unet-small.yaml"
Task = Callable[[bool], None]
"""Forward, and backward too where it is asked for."""


def on_box(low: Tensor, size: Tensor, num_points: int, draw: torch.Generator) -> Tensor:
    """Points on the faces of a box, as many on each of the three pairs as its area asks for."""
    points = torch.rand(num_points, 3, generator=draw)
    areas = size.prod() / size
    axes = torch.multinomial(areas, num_points, replacement=True, generator=draw)
    sides = torch.randint(2, (num_points,), generator=draw).float()
    points[torch.arange(num_points), axes] = sides
    return low + points * size


def room(num_points: int) -> PointBatch:
    """One cloud: half of it on the room itself, the rest on boxes that stand in it."""
    draw = torch.Generator().manual_seed(0)
    each = num_points // 2 // NUM_BOXES
    parts = [on_box(torch.zeros(3), ROOM * 0.999, num_points - each * NUM_BOXES, draw)]
    for _ in range(NUM_BOXES):
        size = 0.3 + torch.rand(3, generator=draw)
        place = torch.rand(3, generator=draw) * (ROOM - size) * torch.tensor([1.0, 0.0, 1.0])
        parts.append(on_box(place, size, each, draw))
    return PointBatch(torch.cat(parts)[None], torch.tensor([num_points]), torch.zeros(1, dtype=torch.int64))


def sparse_form(num_points: int) -> Task:
    """One submanifold convolution over the cells that hold points, its kernel map made anew each time."""
    batch, convolution = room(num_points), SparseConvolution(WIDTH, WIDTH, 27)
    num_cells = len(VoxelLevel.of(batch.points, batch.counts, VOXEL_SIZE).voxels)
    rows = torch.randn(num_cells, WIDTH)

    def run(is_backward: bool) -> None:
        level = VoxelLevel.of(batch.points, batch.counts, VOXEL_SIZE)
        given = rows.detach().requires_grad_(is_backward)
        with torch.set_grad_enabled(is_backward):
            result = convolution(given, level.around(3))
        if is_backward:
            result.sum().backward()

    return run


def dense_form(num_points: int) -> Task:  # noqa: ARG001
    """The whole grid of the room, whatever holds points; the grid is filled before."""
    edges = [round(float(edge) / VOXEL_SIZE) for edge in ROOM]
    grid, convolution = torch.zeros(1, WIDTH, *edges), nn.Conv3d(WIDTH, WIDTH, 3, padding=1, bias=False)

    def run(is_backward: bool) -> None:
        given = grid.detach().requires_grad_(is_backward)
        with torch.set_grad_enabled(is_backward):
            result = convolution(given)
        if is_backward:
            result.sum().backward()

    return run


def network(num_points: int) -> Task:
    """The small sparse U-Net as it is configured, up to a feature of every point."""
    batch, backbone = room(num_points), build_backbone(validate(SparseUnetConfig, read_yaml(SMALL), "small"))

    def run(is_backward: bool) -> None:
        with torch.set_grad_enabled(is_backward):
            values = backbone.point_features(batch).values
        if is_backward:
            F.mse_loss(values, torch.zeros_like(values)).backward()

    return run


FORMS = {"sparse": sparse_form, "dense": dense_form, "network": network}


def seconds(task: Task, is_backward: bool) -> float:
    """What one turn takes of the processor."""
    begin = time.process_time()
    task(is_backward)
    return time.process_time() - begin


def medians(tasks: list[Task], turns: int, is_backward: bool) -> list[float]:
    """Of each task, all in turn, after one turn that does not count."""
    timed = [[seconds(task, is_backward) for task in tasks] for _ in range(turns + 1)][1:]
    return [statistics.median(of_task) for of_task in zip(*timed, strict=True)]


def rise(form: str, num_points: int, is_backward: bool, threads: int) -> float:
    """MB by which a step raises the peak of a process above where it stood once all was made."""
    torch.set_num_threads(threads)
    task = FORMS[form](num_points)
    before = peak()
    task(is_backward)
    return (peak() - before) / 1024


def peak() -> int:
    """KB of this process alone; `ru_maxrss` begins with that of its parent."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM"))


def megabytes(form: str, num_points: int, is_backward: bool, threads: int) -> float:
    """`rise` in a new process."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(rise, form, num_points, is_backward, threads).result()


def compare_forms(sizes: list[int], turns: int, threads: int) -> None:
    """A line for each number of points: time and memory of one convolution in both forms."""
    print(f"{'one convolution':<17}{'points':>7}{'sparse':>10}{'dense':>10}{'ratio':>7}{'MB':>7}{'dense':>7}")
    for is_backward in (False, True):
        for size in sizes:
            ours, dense = medians([sparse_form(size), dense_form(size)], turns, is_backward)
            memory = [megabytes(form, size, is_backward, threads) for form in ("sparse", "dense")]
            print(
                f"{'and backward' if is_backward else 'forward':<17}{size:>7}{1e3 * ours:>7.1f} ms"
                f"{1e3 * dense:>7.0f} ms{dense / ours:>6.0f}x{memory[0]:>7.0f}{memory[1]:>7.0f}"
            )


def show_growth(sizes: list[int], turns: int, threads: int) -> None:
    """A line for each number of points: cells, time and memory of the network."""
    print(f"{'small network':<17}{'points':>7}{'cells':>8}{'time':>11}{'points/s':>10}{'MB':>7}")
    for is_backward in (False, True):
        for size in sizes:
            batch = room(size)
            num_cells = len(VoxelLevel.of(batch.points, batch.counts, VOXEL_SIZE).voxels)
            (took,) = medians([network(size)], turns, is_backward)
            memory = megabytes("network", size, is_backward, threads)
            print(
                f"{'and backward' if is_backward else 'forward':<17}{size:>7}{num_cells:>8}"
                f"{1e3 * took:>8.1f} ms{size / took:>10.0f}{memory:>7.0f}"
            )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__,
        epilog="example: PYTHONPATH=platform python benchmarks/sparse.py --points 2048 8192 32768",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--points", type=int, nargs="+", default=[2048, 4096, 8192, 16384, 32768, 65536])
    parser.add_argument("--turns", type=int, default=3, help="timed turns of each form (default: 3)")
    parser.add_argument("--threads", type=int, default=1, help="CPU threads of torch (default: 1)")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    keep_freed_memory()
    print(
        f"torch {torch.__version__}, {options.threads} thread(s), cells of {VOXEL_SIZE} m, {WIDTH} channels"
    )
    compare_forms(options.points, options.turns, options.threads)
    show_growth(options.points, options.turns, options.threads)


if __name__ == "__main__":
    main()
