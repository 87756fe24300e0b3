"""Forms of one work take turns, so that a busy neighbour slows all; what both benchmarks of probes share."""

import argparse
import statistics
import time
from collections.abc import Callable, Iterable, Mapping

import torch

from pointlab.training.allocation import keep_freed_memory

Clock = Callable[[], float]


def medians_of_turns(
    forms: Mapping[str, Callable[[], object]], turns: int, clock: Clock = time.process_time
) -> dict[str, float]:
    """The median seconds of each form; by default those of the processor."""
    seconds: dict[str, list[float]] = {name: [] for name in forms}
    for _ in range(turns):
        for name, form in forms.items():
            begin = clock()
            form()
            seconds[name].append(clock() - begin)
    return {name: statistics.median(taken) for name, taken in seconds.items()}


def told(size: str, medians: Mapping[str, float], reference: str) -> dict[str, str]:
    """A line for each form: its seconds, and as a multiple of the reference's."""
    return {
        name: f"{size:<8}{name:<26}{median:>8.2f} s{median / medians[reference]:>7.1f}x"
        for name, median in medians.items()
    }


def parser_of_probes(description: str | None, script: str, sizes: Iterable[str]) -> argparse.ArgumentParser:
    """The options that benchmarks of grids of probes share."""
    parser = argparse.ArgumentParser(
        description=description,
        epilog=f"example: PYTHONPATH=platform python benchmarks/{script} --sizes small",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--sizes", nargs="+", choices=list(sizes), default=list(sizes))
    parser.add_argument("--probes", type=int, default=50, help="probes in the grid (default: 50)")
    parser.add_argument("--turns", type=int, default=3, help="timed turns of each form (default: 3)")
    parser.add_argument("--threads", type=int, default=1, help="CPU threads of torch (default: 1)")
    return parser


def start(options: argparse.Namespace) -> None:
    """Set torch up as the options say, and say on what it runs."""
    torch.set_num_threads(options.threads)
    keep_freed_memory()
    print(f"torch {torch.__version__}, {options.threads} thread(s), {options.probes} probes")
