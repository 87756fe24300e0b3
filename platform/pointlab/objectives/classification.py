"""Measures of classification, as counts: they add up exactly over batches of unequal size and over workers.

The loss is `torch.nn.functional.cross_entropy`, used as it is.
"""

from jaxtyping import Float, Int64
from torch import Tensor


def num_correct(logits: Float[Tensor, "batch classes"], labels: Int64[Tensor, " batch"]) -> Int64[Tensor, ""]:
    """How many samples score highest in their own class; divide the sum over batches by the samples seen."""
    return (logits.argmax(dim=1) == labels).sum()
