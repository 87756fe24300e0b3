"""Exact nearest neighbours: patches around centres, graphs, Chamfer distances, normals.

Two searches give the same answer, bit for bit: `all_pairs` looks at everything and runs anywhere, `tree`
wins on the CPU once clouds are large. Both compute squared distances as (x² + y²) + z² of the coordinate
differences, in the points' own precision (float32 at least), and order by that number, then by row. The
cheaper |q|² - 2q·p + |p|² is not used: cancellation costs it half of its digits.
"""

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from pointlab.geometry.all_pairs import search_all_pairs
from pointlab.geometry.padding import require_rows
from pointlab.geometry.tree import search_trees


@torch.no_grad()
def nearest_neighbours(
    queries: Float[Tensor, "batch queries 3"],
    points: Float[Tensor, "batch points 3"],
    num_neighbours: int,
    counts: Int64[Tensor, " batch"] | None = None,
) -> tuple[Float[Tensor, "batch queries neighbours"], Int64[Tensor, "batch queries neighbours"]]:
    """Euclidean distances, ascending, and rows of the nearest points of each query; without gradients.

    Equally near points come in the order of their rows. `counts` is of `points`: padding is never returned.
    Where a distance must carry gradients, compute it anew from `gather_points(points, rows)`.
    Raises DataError where a cloud has fewer than `num_neighbours` points.
    """
    require_rows(points, counts, num_neighbours, "neighbours")
    precision = torch.promote_types(torch.promote_types(queries.dtype, points.dtype), torch.float32)
    queries, points = queries.to(precision), points.to(precision)
    search = search_trees if _is_tree_faster(queries, points) else search_all_pairs
    squared, rows = search(queries, points, num_neighbours, counts)
    return squared.sqrt(), rows


def _is_tree_faster(
    queries: Float[Tensor, "batch queries 3"], points: Float[Tensor, "batch points 3"]
) -> bool:
    """Whether building a tree and asking it costs less than every pair, all in units of about 2 ns."""
    num_queries, num_points = queries.shape[1], points.shape[1]
    return points.device.type == "cpu" and num_queries * num_points > 100 * num_points + 1000 * num_queries
