"""Validation: the figures of a paradigm on held-out batches, shared out over the workers."""

from collections.abc import Callable, Iterable

import torch

from pointlab import distributed
from pointlab.data.sample import PointBatch
from pointlab.paradigms import Trainable
from pointlab.seeding import stable_integer
from pointlab.training.averages import Averages
from pointlab.training.numerics import autocast

ValidationBatches = Callable[[int, int], Iterable[PointBatch]]
"""The batches of a worker, given its rank and the number of workers, who take them in turn."""


@torch.no_grad()
def evaluate(
    paradigm: Trainable, batches: ValidationBatches, device: torch.device, precision: str = "fp32"
) -> dict[str, float]:
    """What `paradigm` makes of its mean figures in eval mode; the workers take turns with the batches."""
    paradigm.eval()
    averages, rank, size = Averages(), distributed.rank(), distributed.world_size()
    for number, batch in enumerate(batches(rank, size)):
        torch.manual_seed(stable_integer("validation", rank + number * size))
        with autocast(device, precision):
            output = paradigm(batch.to(device))
        averages.add({"loss": output.loss, **output.metrics}, len(batch))
    return paradigm.summarise(averages.take())
