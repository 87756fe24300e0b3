"""The key side of momentum contrast: an encoder that trails the trained one, and a queue of its keys.

MoCo: He et al., "Momentum Contrast for Unsupervised Visual Representation Learning", CVPR 2020, section 3.2.
"""

import copy

import torch
from jaxtyping import Float
from pydantic import Field, PositiveInt
from torch import Tensor, nn

from pointlab import distributed
from pointlab.config import StrictModel
from pointlab.objectives.hypersphere import unit_length


class MomentumConfig(StrictModel):
    """How slowly the key encoder follows, and how many keys are remembered."""

    decay: float = Field(default=0.999, ge=0, lt=1)
    """Per step; the paper's best of 0 to 0.9999. After n steps the first weights still count decay^n, so that
    runs of a few hundred steps want 0.99."""
    queue_size: PositiveInt = 4096
    """Within the paper's 256 to 65,536, and below half of ModelNet40. Of a queue longer than half the set, a
    query too often meets earlier keys of its own sample among the negatives: it is refused."""


class TrailingEncoder(nn.Module):
    """A copy of some modules whose weights follow theirs, without gradients.

    While training, its BatchNorm layers normalise keys by their own batch, as in the paper. A query and its
    key then share the company in which they were normalised, which may tell the key from earlier ones. The
    paper shuffles samples between GPUs against this; one worker cannot, and we do not. Running statistics
    in place of the batch's would close the leak, but taught far less in trials of 300 steps. Validation
    normalises nothing by its batch: a leak would show there as a `top_1` well below that of training.
    """

    def __init__(self, *leaders: nn.Module) -> None:
        super().__init__()
        self.copies = nn.ModuleList(copy.deepcopy(leader) for leader in leaders).requires_grad_(False)

    @torch.no_grad()
    def follow(self, decay: float, *leaders: nn.Module) -> None:
        """Weights become decay · own + (1 - decay) · the leaders'; running statistics are their own."""
        for own, leader in zip(self.copies, leaders, strict=True):
            for weight, leading in zip(own.parameters(), leader.parameters(), strict=True):
                weight.lerp_(leading, 1 - decay)


class KeyQueue(nn.Module):
    """The keys of the latest steps, the newest step first; random directions before there are any.

    The keys of all workers enter in order of rank, the order of the global batch. So the queue is the same on
    every worker, may be saved with the weights, and is that of one worker with all their micro-batches.
    """

    keys: Tensor

    def __init__(self, size: int, width: int) -> None:
        super().__init__()
        self.register_buffer("keys", unit_length(torch.randn(size, width)))
        self._noted: list[Tensor] = []

    def note(self, keys: Float[Tensor, "rows width"]) -> None:
        """Keep the keys of a micro-batch aside until the step is over."""
        self._noted.append(keys.detach())

    @torch.no_grad()
    def close_step(self) -> None:
        """Put the keys that all workers have noted in front; each must take part."""
        newest, _ = distributed.gather_rows_with_gradient(torch.cat(self._noted))
        self.keys.copy_(torch.cat([newest, self.keys])[: len(self.keys)])
        self._noted = []
