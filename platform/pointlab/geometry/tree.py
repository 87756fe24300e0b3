"""Nearest neighbours through one k-d tree per cloud: the CPU's way through large clouds.

SciPy's tree measures in float64 and leaves ties open. What it finds is therefore measured and ordered
again like every pair; a query whose last neighbour is too close to the next point to be told apart by
then is answered by looking at every pair.
"""

import numpy as np
import torch
from jaxtyping import Bool, Float, Int64
from scipy.spatial import cKDTree
from torch import Tensor

from pointlab.geometry.all_pairs import Found, search_all_pairs, smallest_by_row

_ROUNDING = 1e-6
"""Relative error that a squared distance may have: five roundings to float32 make 3e-7."""
_UNDERFLOW = float(np.finfo(np.float32).tiny)
"""Absolute error of a squared distance whose terms are too small for float32."""


def search_trees(
    queries: Float[Tensor, "batch queries 3"],
    points: Float[Tensor, "batch points 3"],
    num_neighbours: int,
    counts: Int64[Tensor, " batch"] | None,
) -> Found:
    """Squared distances and rows of the nearest points of each query, cloud by cloud."""
    lengths = [points.shape[1]] * len(points) if counts is None else counts.tolist()
    found = [
        _search_tree(asked, cloud[:length], num_neighbours)
        for asked, cloud, length in zip(queries, points, lengths, strict=True)
    ]
    return torch.cat([squared for squared, _ in found]), torch.cat([rows for _, rows in found])


def _search_tree(
    queries: Float[Tensor, "queries 3"], cloud: Float[Tensor, "points 3"], num_neighbours: int
) -> Found:
    num_candidates = min(num_neighbours + 1, len(cloud))
    # Midpoint splits: built in half the time, and points rarely lie so badly that the depth suffers.
    tree = cKDTree(cloud.numpy(), balanced_tree=False, compact_nodes=False)
    reach, candidates = tree.query(
        queries.numpy(), k=range(1, num_candidates + 1), workers=torch.get_num_threads()
    )
    rows = torch.from_numpy(candidates)
    squared, nearest = smallest_by_row(_squared(queries, cloud[rows])[None], rows[None], num_neighbours)
    if num_candidates < len(cloud):
        is_open = _may_miss(squared[0, :, -1], torch.from_numpy(reach[:, -1]))
        if is_open.any():
            squared[:, is_open], nearest[:, is_open] = search_all_pairs(
                queries[is_open][None], cloud[None], num_neighbours, None
            )
    return squared, nearest


def _squared(
    queries: Float[Tensor, "queries 3"], candidates: Float[Tensor, "queries candidates 3"]
) -> Float[Tensor, "queries candidates"]:
    x, y, z = (candidates - queries.unsqueeze(1)).square().unbind(2)
    return x + y + z


def _may_miss(
    farthest_found: Float[Tensor, " queries"], reach: Float[Tensor, " queries"]
) -> Bool[Tensor, " queries"]:
    """True where a point beyond the tree's `reach` might be no farther than the last that was found."""
    return farthest_found.double() + _UNDERFLOW >= reach.double().square() * (1 - _ROUNDING)
