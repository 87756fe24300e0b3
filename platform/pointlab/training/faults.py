"""What goes wrong inside a step, told so that a user can act: losses that are not finite, lack of memory."""

import contextlib
import math
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from pointlab import distributed
from pointlab.data.order import Share
from pointlab.errors import TrainingError
from pointlab.training.run import Run

SMALLEST_SCALE = 1e-3
"""Of fp16's loss scale, which starts at 65,536: 26 skipped steps in a row."""


@dataclass(frozen=True)
class BadStep:
    """A step whose loss or gradient was not finite, with the samples one worker had in it."""

    step: int
    worker: int
    loss: float
    gradient_norm: float
    sample_ids: list[int]


@dataclass
class FiniteWatch:
    """Keeps the losses of the last few steps until they are looked at, so that no step waits for a device."""

    steps: list[tuple[int, np.ndarray, list[Tensor]]] = field(default_factory=list)
    norms: dict[int, Tensor] = field(default_factory=dict)

    def begin(self, step: int, sample_ids: np.ndarray) -> None:
        """A step starts, counted from one as in the log, with these samples on this worker."""
        self.steps.append((step, sample_ids.copy(), []))  # a copy, as the array may pin what it is a view of

    def add_loss(self, loss: Tensor) -> None:
        """The loss of a micro-batch of the present step."""
        self.steps[-1][2].append(loss.detach())

    def add_norm(self, norm: Tensor) -> None:
        """The gradient's norm in the present step."""
        self.norms[self.steps[-1][0]] = norm.detach()

    def require_finite(self, run: Run) -> None:
        """Look at all steps since the last time, on all workers.

        Raises TrainingError, after saving the samples of the first bad step at `runs/<run>/faults`.
        """
        found = [bad for own in distributed.gather_objects(self._first_bad()) for bad in own]
        self.steps, self.norms = [], {}
        if not found:
            return
        first = min(bad.step for bad in found)
        bad = [entry for entry in found if entry.step == first]
        where = run.fault_path(first)
        if distributed.rank() == 0:
            run.write_fault(first, [vars(entry) for entry in bad])
        distributed.barrier()  # whoever raises first ends the group, and with it the first worker's writing
        raise TrainingError(
            f"The training loss is {bad[0].loss:g} and its gradient's norm {bad[0].gradient_norm:g} at step"
            f" {first}; the samples of that step are listed in {where}.",
            expected="a finite loss and gradient",
            remedy="look at those samples; lower training.optimiser.learning_rate, or set"
            " training.optimiser.clip_norm. The newest checkpoint is of before",
        )

    def _first_bad(self) -> list[BadStep]:
        for step, sample_ids, losses in self.steps:
            loss = float(torch.stack(losses).mean())
            norm = float(self.norms.get(step, torch.zeros(())))
            if not (math.isfinite(loss) and math.isfinite(norm)):
                return [BadStep(step, distributed.rank(), loss, norm, sample_ids.tolist())]
        return []


def require_scale(scaler: torch.amp.GradScaler) -> None:
    """Return while fp16 steps come through; TrainingError where the scale has shrunk to nothing.

    The scale is halved whenever a gradient overflows, and that step is skipped: below this bound the gradient
    itself is not finite, and nothing is learnt any more.
    """
    if scaler.is_enabled() and scaler.get_scale() < SMALLEST_SCALE:
        raise TrainingError(
            f"The fp16 loss scale has shrunk to {scaler.get_scale():g}: no scale makes the gradients finite.",
            expected=f"a scale of {SMALLEST_SCALE:g} or more",
            remedy="set training.precision=bf16 or fp32, or lower training.optimiser.learning_rate",
        )


@contextlib.contextmanager
def explained_memory(share: Share) -> Iterator[None]:
    """A block in which running out of memory becomes a TrainingError that names the sizes to try."""
    try:
        yield
    except (torch.OutOfMemoryError, MemoryError, RuntimeError) as error:
        if not is_out_of_memory(error):
            raise
        raise TrainingError(
            f"Memory ran out in a step of {share.size} samples on each worker, in"
            f" {share.accumulation} micro-batches: {str(error).splitlines()[0]}",
            remedy=memory_remedy(share.batch_size, share.accumulation),
        ) from error


def is_out_of_memory(error: BaseException) -> bool:
    """Whether a device's or the processor's allocator refused."""
    return isinstance(error, torch.OutOfMemoryError | MemoryError) or "DefaultCPUAllocator" in str(error)


def memory_remedy(batch_size: int, accumulation: int) -> str:
    """The sizes to try next, largest first."""
    return (
        f"set training.accumulation={2 * accumulation} (the same batch of {batch_size} in half the memory;"
        " BatchNorm then sees smaller micro-batches), or training.batch_size="
        f"{max(batch_size // 2, 1)}"
    )
