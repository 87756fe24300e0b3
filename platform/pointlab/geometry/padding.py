"""Dense batches of clouds that differ in length: which rows are real, and whether there are enough."""

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from pointlab.errors import DataError


def real_rows(
    points: Float[Tensor, "batch points channels"], counts: Int64[Tensor, " batch"] | None
) -> Bool[Tensor, "batch points"]:
    """True where a row belongs to its cloud, False where it is padding; all True without `counts`."""
    rows = torch.arange(points.shape[1], device=points.device).expand(points.shape[:2])
    return rows >= 0 if counts is None else rows < counts.unsqueeze(1)


def require_rows(
    points: Float[Tensor, "batch points channels"],
    counts: Int64[Tensor, " batch"] | None,
    num_wanted: int,
    purpose: str,
) -> None:
    """Raise DataError unless every cloud has `num_wanted` real rows for `purpose`, and at least one."""
    available = points.shape[1]
    least, most = (available, available) if counts is None else _range(counts)
    if most > available:
        raise DataError(
            f"A cloud counts {most} points in a batch padded to {available}.",
            expected="counts no larger than the padded length",
            remedy="pad the batch to its longest cloud",
        )
    if not 1 <= num_wanted <= least:
        raise DataError(
            f"{num_wanted} {purpose} were asked of a cloud of {least} points.",
            expected=f"between 1 and {least}",
            remedy="ask for fewer, or leave clouds that are this small out of the set",
        )


def _range(counts: Int64[Tensor, " batch"]) -> tuple[int, int]:
    least, most = torch.aminmax(counts)
    return int(least), int(most)
