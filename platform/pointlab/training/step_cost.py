"""What one step of a training takes on this machine: its operations, and its time after a warm-up."""

import time
from dataclasses import dataclass
from itertools import islice
from statistics import median

import torch

from pointlab.training.loop import Trainer

WARM_UP = 2
"""Steps that are slow for what they do for the first time: memory, kernels, the cache of the data."""
MOST_STEPS, MOST_SECONDS = 20, 3.0
"""Whichever comes first: a few seconds tell the time of a step to some hundredths."""


@dataclass(frozen=True)
class StepCost:
    """Operations (as `flops.COUNTED` says) and device seconds of a step; validation takes none of them."""

    flops: float
    seconds: float


def measure_step(trainer: Trainer, seconds: float = MOST_SECONDS) -> StepCost:
    """Take some steps of a training that nobody goes on with: its weights move, nothing is stored.

    The time is the median, with what it takes to be fed; of a training shorter than the warm-up, of what
    there is.
    """
    taken: list[float] = []
    last = started = time.perf_counter()
    for step, arrays in enumerate(islice(trainer.feed(), WARM_UP + MOST_STEPS)):
        trainer.step(step, arrays)
        if trainer.context.device.type == "cuda":  # where a step returns before it is done
            torch.cuda.synchronize(trainer.context.device)
        now = time.perf_counter()
        taken.append(now - last)
        last = now
        if step >= WARM_UP and now - started > seconds:
            break
    flops = trainer.state.progress.flops_per_step
    assert flops is not None, "there is a step"
    trainer.even_start.end()
    return StepCost(flops, median(taken[WARM_UP:] or taken))
