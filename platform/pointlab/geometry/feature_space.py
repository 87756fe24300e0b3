"""Nearest neighbours among the points of one cloud in a space of features: DGCNN's dynamic graph.

In three dimensions `nearest_neighbours` measures differences, exactly. Among hundreds of channels only a
matrix product is fast enough: |a - b|² = |a|² + |b|² - 2a·b, with all features taken relative to those of
the cloud's first row, so that a common offset costs no digits. Every pair is looked at, but a distance is
known to about (channels · rounding · (|a|² + |b|²)) only: neighbours nearer to a tie than that may trade
places on another machine or with another number of threads. On one machine the answer is always the same.
"""

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from pointlab.geometry.all_pairs import pairs_at_once, smallest_by_row
from pointlab.geometry.padding import require_rows


@torch.no_grad()
def feature_neighbours(
    features: Float[Tensor, "batch points channels"],
    num_neighbours: int,
    counts: Int64[Tensor, " batch"] | None = None,
) -> Int64[Tensor, "batch points neighbours"]:
    """Rows of the nearest points of each point, itself included, nearest first; without gradients.

    Equally near points come in the order of their rows. Padding is never returned, and rows of padding get
    zeros. Measured in float32 at least, under autocast too. Clouds do not see each other.
    Raises DataError where a cloud has fewer than `num_neighbours` points.
    """
    require_rows(features, counts, num_neighbours, "neighbours")
    precise = features.to(torch.promote_types(features.dtype, torch.float32))
    lengths = [features.shape[1]] * len(features) if counts is None else counts.tolist()
    rows = torch.zeros(*features.shape[:2], num_neighbours, dtype=torch.int64, device=features.device)
    with torch.autocast(features.device.type, enabled=False):
        for cloud, (length, values) in enumerate(zip(lengths, precise, strict=True)):
            rows[cloud, :length] = _search(values[:length], num_neighbours)
    return rows


def _search(
    values: Float[Tensor, "points channels"], num_neighbours: int
) -> Int64[Tensor, "points neighbours"]:
    """The nearest of one cloud without padding, a block of points at a time."""
    offsets = values - values[:1]
    norms = offsets.square().sum(1)
    step = max(1, pairs_at_once(values.device) // len(values))
    every_row = torch.arange(len(values), device=values.device)
    found = []
    for begin in range(0, len(values), step):
        asked = slice(begin, begin + step)
        squared = torch.addmm(norms, offsets[asked], offsets.T, alpha=-2).add_(norms[asked].unsqueeze(1))
        squared.clamp_min_(0).diagonal(begin).zero_()
        _, nearest = smallest_by_row(squared[None], every_row.expand(1, *squared.shape), num_neighbours)
        found.append(nearest.squeeze(0))
    return torch.cat(found)
