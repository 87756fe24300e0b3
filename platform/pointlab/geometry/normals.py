"""Normals of a surface from its points alone, by a plane through each neighbourhood (Hoppe et al., 1992)."""

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from pointlab.errors import DataError
from pointlab.geometry.neighbours import nearest_neighbours
from pointlab.geometry.padding import real_rows
from pointlab.geometry.sampling import gather_points

_ROWS = 2**16
"""Points whose neighbourhoods are held at a time: some hundred megabytes at 16 neighbours."""
_UP = (0.0, 1.0, 0.0)
"""Normal where there is no surface to speak of; clouds are y-up."""


@torch.no_grad()
def estimate_normals(
    points: Float[Tensor, "batch points 3"],
    num_neighbours: int = 16,
    counts: Int64[Tensor, " batch"] | None = None,
) -> Float[Tensor, "batch points 3"]:
    """Unit normals: the direction in which a point and its nearest neighbours vary least.

    `num_neighbours` includes the point itself; 16 is enough to average out noise and still small beside
    the curvature of clouds of a thousand points. Points do not tell inside from outside, so the sign is a
    convention: the component that is largest in magnitude (the first of equals) is positive.

    A neighbourhood that is a single place repeated has the normal +y; one that lies on a line has some
    normal of that line. Padding rows are zero. Raises DataError where a cloud has fewer than
    `num_neighbours` points, or where those are fewer than the three that span a plane.
    """
    if num_neighbours < 3:
        raise DataError(
            f"Normals were asked of neighbourhoods of {num_neighbours} points.",
            expected="at least 3 points, which span a plane",
            remedy="raise num_neighbours; 16 is usual",
        )
    _, rows = nearest_neighbours(points, points, num_neighbours, counts)
    step = max(1, _ROWS // max(1, len(points)))  # of every cloud
    blocks = zip(points.split(step, dim=1), rows.split(step, dim=1), strict=True)
    normals = torch.cat([_of_planes(points, centres, members) for centres, members in blocks], dim=1)
    return normals if counts is None else normals * real_rows(points, counts).unsqueeze(2)


def _of_planes(
    points: Float[Tensor, "batch points 3"],
    centres: Float[Tensor, "batch centres 3"],
    members: Int64[Tensor, "batch centres neighbours"],
) -> Float[Tensor, "batch centres 3"]:
    """The unit normal of the plane through the neighbourhood of each of `centres`."""
    covariance = _scatter(gather_points(points, members) - centres.unsqueeze(2))
    normals = _point_largest_up(torch.linalg.eigh(covariance).eigenvectors[..., 0])
    is_one_place = covariance.diagonal(dim1=-2, dim2=-1).sum(-1, keepdim=True) == 0
    return torch.where(is_one_place, normals.new_tensor(_UP), normals).to(points.dtype)


def _scatter(
    offsets: Float[Tensor, "batch points neighbours 3"],
) -> Float[Tensor, "batch points 3 3"]:
    """Sum of outer products about the mean, in float64: exact enough for thin neighbourhoods, and out of
    reach of autocast, which would multiply in half precision.
    """
    offsets = offsets.double()
    offsets = offsets - offsets.mean(2, keepdim=True)
    return offsets.transpose(2, 3) @ offsets


def _point_largest_up(normals: Float[Tensor, "batch points 3"]) -> Float[Tensor, "batch points 3"]:
    largest = normals.gather(2, normals.abs().argmax(2, keepdim=True))
    return torch.where(largest < 0, -normals, normals)
