"""The one rule by which a few of many rows are taken: at even distances, the first among them."""

import torch
from jaxtyping import Bool, Int64
from torch import Tensor


def evenly_spaced(
    counts: Int64[Tensor, " batch"], limit: int
) -> tuple[Int64[Tensor, "batch limit"], Bool[Tensor, "batch limit"]]:
    """At most `limit` of each one's `counts` rows, and which of them are real: a short one has fewer."""
    order, available = torch.arange(limit, device=counts.device), counts.unsqueeze(1)
    num_chosen = available.clamp(max=limit)
    rows = order * available // num_chosen
    return rows.minimum(available - 1), order < num_chosen
