"""Chamfer distance between two sets of points (Fan et al., 2017), the usual reconstruction loss."""

from typing import Literal

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from pointlab.geometry.neighbours import nearest_neighbours
from pointlab.geometry.padding import real_rows, require_rows
from pointlab.geometry.sampling import gather_points

Norm = Literal["l1", "l2"]


def chamfer_distance(
    source: Float[Tensor, "batch source_points 3"],
    target: Float[Tensor, "batch target_points 3"],
    *,
    norm: Norm = "l2",
    source_counts: Int64[Tensor, " batch"] | None = None,
    target_counts: Int64[Tensor, " batch"] | None = None,
) -> Float[Tensor, ""]:
    """How far the points of each set lie from the other, as one number for the batch.

    l2: mean squared distance to the nearest neighbour from source to target, plus that from target to
    source. l1: half the sum of the two mean distances, unsquared. A mean runs over all real points of the
    batch jointly: a larger cloud weighs more. These are the conventions of Point-MAE, ACT and ReCon.

    Gradients reach both sets; the choice of neighbours is constant. Where two points coincide the l1
    gradient is zero. Raises DataError for a cloud without points.
    """
    there = _mean_to_nearest(source, target, norm, source_counts, target_counts)
    back = _mean_to_nearest(target, source, norm, target_counts, source_counts)
    return there + back if norm == "l2" else (there + back) / 2


def _mean_to_nearest(
    points: Float[Tensor, "batch points 3"],
    others: Float[Tensor, "batch others 3"],
    norm: Norm,
    counts: Int64[Tensor, " batch"] | None,
    other_counts: Int64[Tensor, " batch"] | None,
) -> Float[Tensor, ""]:
    require_rows(points, counts, 1, "points for a Chamfer distance")
    _, rows = nearest_neighbours(points, others, 1, other_counts)
    offsets = points - gather_points(others, rows.squeeze(2))
    # The norm's gradient at zero is zero; that of a square root would be infinite.
    distances = offsets.square().sum(2) if norm == "l2" else torch.linalg.vector_norm(offsets, dim=2)
    if counts is None:
        return distances.mean()
    return distances.masked_fill(~real_rows(points, counts), 0).sum() / counts.sum()
