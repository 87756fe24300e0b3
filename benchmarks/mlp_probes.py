"""A grid of MLP probes as one batched network beside the same probes trained one by one.

One by one each is an ordinary module, trained by torch's fused AdamW on the same standardised features, in
the same mini-batches: what the platform's own loop would do. Features are those of `probes.py`. Both forms
take turns within one run, so that a busy neighbour slows both; each time is the median of its turns, in
seconds of the processor, or of the clock on a GPU. A grid saves what a step costs beside its arithmetic: most
of it where batches and heads are small, and on a GPU.
"""

import argparse
import copy
import statistics
import time
from collections.abc import Callable
from itertools import product

import numpy as np
import torch
import torch.nn.functional as F
from probes import SIZES, table

from pointlab.evaluation import FeatureTable
from pointlab.objectives import HeadConfig, build_head
from pointlab.objectives.heads import Head
from pointlab.seeding import generator
from pointlab.training.allocation import keep_freed_memory
from pointlab.transfer.mlp_probe import Member, MlpProbeConfig, Training, train_grid
from pointlab.transfer.side_by_side import Learning
from pointlab.transfer.standardising import Scale

GRID = [
    Learning(rate, decay) for rate, decay in product(np.logspace(-4, -2, 10), (0.0, 0.01, 0.05, 0.2, 0.5))
]
"""Fifty settings."""


def as_one_network(data: FeatureTable, start: Head, training: Training, num_probes: int) -> None:
    """All settings together."""
    train_grid([data], [start], [Member(0, learning) for learning in GRID[:num_probes]], training)


def one_by_one(data: FeatureTable, start: Head, training: Training, num_probes: int) -> None:
    """One setting after the other."""
    rows = Scale.of(data.features).standardised(data.features).to(training.device)
    labels = data.labels.to(training.device)
    for learning in GRID[:num_probes]:
        head = copy.deepcopy(start).to(training.device).train()
        settings = {"lr": learning.learning_rate, "weight_decay": learning.weight_decay}
        optimiser = torch.optim.AdamW(head.parameters(), **settings, fused=True)
        for epoch in range(training.config.epochs):
            order = generator(training.seed, "mlp_probe", epoch).permutation(len(labels))
            for batch in np.array_split(order, max(1, len(order) // training.config.batch_size)):
                at = torch.from_numpy(batch).to(training.device)
                optimiser.zero_grad()
                F.cross_entropy(head(rows[at]), labels[at]).backward()
                optimiser.step()


FORMS: dict[str, Callable[[FeatureTable, Head, Training, int], None]] = {
    "one batched network": as_one_network,
    "one by one": one_by_one,
}


def compare(size: str, options: argparse.Namespace) -> None:
    """A line for each form."""
    num_samples, num_features, num_classes = SIZES[size]
    data, device = table(num_samples, num_features, num_classes), torch.device(options.device)
    config = MlpProbeConfig(epochs=options.epochs, batch_size=options.batch_size)
    torch.manual_seed(0)
    start, training = build_head(HeadConfig(), num_features, num_classes), Training(config, 0, device)
    clock = time.process_time if device.type == "cpu" else time.perf_counter
    seconds: dict[str, list[float]] = {name: [] for name in FORMS}
    for form in FORMS.values():  # what is only slow once
        form(data, start, Training(config.model_copy(update={"epochs": 1}), 0, device), 2)
    for _ in range(options.turns):
        for name, form in FORMS.items():
            begin = clock()
            form(data, start, training, options.probes)
            if device.type == "cuda":
                torch.cuda.synchronize()
            seconds[name].append(clock() - begin)
    medians = {name: statistics.median(taken) for name, taken in seconds.items()}
    for name, median in medians.items():
        ratio = median / medians["one batched network"]
        print(f"{size:<8}{name:<26}{median:>8.2f} s{ratio:>7.1f}x")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__,
        epilog="example: PYTHONPATH=platform python benchmarks/mlp_probes.py --sizes small",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--sizes", nargs="+", choices=SIZES, default=list(SIZES))
    parser.add_argument("--probes", type=int, default=50, help="settings in the grid (default: 50)")
    parser.add_argument("--epochs", type=int, default=5, help="of each probe (default: 5)")
    parser.add_argument("--batch-size", type=int, default=64, help="clouds of a step (default: 64)")
    parser.add_argument("--turns", type=int, default=3, help="timed turns of each form (default: 3)")
    parser.add_argument("--threads", type=int, default=1, help="CPU threads of torch (default: 1)")
    parser.add_argument("--device", default="cpu")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    keep_freed_memory()
    print(
        f"torch {torch.__version__}, {options.device}, {options.threads} thread(s), {options.probes} probes"
    )
    for size in options.sizes:
        compare(size, options)


if __name__ == "__main__":
    main()
