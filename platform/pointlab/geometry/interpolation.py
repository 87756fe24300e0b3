"""Features carried from some places of a cloud to others: PointNet++'s interpolation.

Qi et al., "PointNet++", NeurIPS 2017, section 3.4, equation 2, with its k = 3 and p = 2.
"""

from jaxtyping import Float, Int64
from torch import Tensor

from pointlab.geometry.neighbours import nearest_neighbours
from pointlab.geometry.padding import real_rows
from pointlab.geometry.sampling import gather_points

SMALLEST_SQUARE = 1e-8
"""Added to squared distances, as in the released code: a point that is a place itself takes its feature."""


def interpolate_features(
    queries: Float[Tensor, "batch queries 3"],
    places: Float[Tensor, "batch places 3"],
    features: Float[Tensor, "batch places channels"],
    counts: Int64[Tensor, " batch"] | None = None,
) -> Float[Tensor, "batch queries channels"]:
    """The mean of the features at the three nearest places, weighted by inverse squared distance.

    With fewer places than three, of all of them. All places are real; `counts` is of the queries, whose
    padded rows come out as zeros. Gradients flow to `features`, not to coordinates.
    """
    num_nearest = min(3, places.shape[1])
    distances, rows = nearest_neighbours(queries, places, num_nearest)
    weights = 1 / (distances.square() + SMALLEST_SQUARE)
    weights = (weights / weights.sum(2, keepdim=True)).to(features.dtype)
    if counts is not None:
        weights = weights * real_rows(queries, counts).unsqueeze(2)
    carried = weights[..., :1] * gather_points(features, rows[..., 0])
    for nearest in range(1, num_nearest):  # one after the other: a third of the memory
        carried = carried + weights[..., nearest : nearest + 1] * gather_points(features, rows[..., nearest])
    return carried
