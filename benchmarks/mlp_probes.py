"""A grid of MLP probes as one batched network beside the same probes trained one by one.

One by one each is an ordinary module, trained by torch's fused AdamW on the same standardised features, in
the same mini-batches: what the platform's own loop would do. Features are those of `probes.py`. Both forms
take turns within one run, so that a busy neighbour slows both; each time is the median of its turns, in
seconds of the processor, or of the clock on a GPU. A grid saves what a step costs beside its arithmetic: most
of it where batches and heads are small, and on a GPU.
"""

import argparse
import copy
import time
from collections.abc import Callable
from functools import partial
from itertools import product

import numpy as np
import torch
import torch.nn.functional as F
from probes import SIZES, table
from turns import Clock, medians_of_turns, parser_of_probes, start, told

from pointlab.evaluation import FeatureTable
from pointlab.objectives import HeadConfig, build_head
from pointlab.objectives.heads import Head
from pointlab.seeding import generator
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


def on_a_gpu() -> float:
    """The clock, once the GPU has done all that it was told."""
    torch.cuda.synchronize()
    return time.perf_counter()


CLOCKS: dict[str, Clock] = {"cpu": time.process_time, "cuda": on_a_gpu}


def compare(size: str, options: argparse.Namespace) -> None:
    """A line for each form."""
    num_samples, num_features, num_classes = SIZES[size]
    data, device = table(num_samples, num_features, num_classes), torch.device(options.device)
    config = MlpProbeConfig(epochs=options.epochs, batch_size=options.batch_size)
    torch.manual_seed(0)
    first, training = build_head(HeadConfig(), num_features, num_classes), Training(config, 0, device)
    for form in FORMS.values():  # what is only slow once
        form(data, first, Training(config.model_copy(update={"epochs": 1}), 0, device), 2)
    forms = {name: partial(form, data, first, training, options.probes) for name, form in FORMS.items()}
    medians = medians_of_turns(forms, options.turns, CLOCKS[device.type])
    print("\n".join(told(size, medians, "one batched network").values()))


def main() -> None:
    parser = parser_of_probes(__doc__, "mlp_probes.py", SIZES)
    parser.add_argument("--epochs", type=int, default=5, help="of each probe (default: 5)")
    parser.add_argument("--batch-size", type=int, default=64, help="clouds of a step (default: 64)")
    parser.add_argument("--device", default="cpu", choices=list(CLOCKS))
    options = parser.parse_args()
    start(options)
    for size in options.sizes:
        compare(size, options)


if __name__ == "__main__":
    main()
