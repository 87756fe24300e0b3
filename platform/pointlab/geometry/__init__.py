"""Exact geometry on batches of points, in plain PyTorch: sampling, neighbours, Chamfer distance, normals.

Clouds of differing length share a dense, zero-padded batch; `counts` says how many rows of each are real
(None: all of them). No function is approximate, and ties are broken by a stated rule, so that a result
depends on the coordinates alone and not on the batch, the number of threads or the path that was taken.
"""

from pointlab.geometry.chamfer import chamfer_distance
from pointlab.geometry.neighbours import nearest_neighbours
from pointlab.geometry.normals import estimate_normals
from pointlab.geometry.padding import real_rows
from pointlab.geometry.sampling import farthest_point_sample, gather_points

__all__ = [
    "chamfer_distance",
    "estimate_normals",
    "farthest_point_sample",
    "gather_points",
    "nearest_neighbours",
    "real_rows",
]
