"""Features carried from some places of a cloud to others: PointNet++'s interpolation.

Qi et al., "PointNet++", NeurIPS 2017, section 3.4, equation 2, with its k = 3 and p = 2.
"""

from dataclasses import dataclass

from jaxtyping import Float, Int64
from torch import Tensor

from pointlab.geometry.neighbours import nearest_neighbours
from pointlab.geometry.padding import real_rows
from pointlab.geometry.sampling import gather_points

SMALLEST_SQUARE = 1e-8
"""Added to squared distances, as in the released code: a point that is a place itself takes its feature."""


@dataclass(frozen=True)
class Interpolation:
    """Which places each query takes its features from, and what part of each."""

    rows: Int64[Tensor, "batch queries nearest"]
    weights: Float[Tensor, "batch queries nearest"]

    @classmethod
    def between(
        cls,
        queries: Float[Tensor, "batch queries 3"],
        places: Float[Tensor, "batch places 3"],
        counts: Int64[Tensor, " batch"] | None = None,
    ) -> "Interpolation":
        """From `places` to `queries`, as `interpolate_features` says."""
        distances, rows = nearest_neighbours(queries, places, min(3, places.shape[1]))
        weights = 1 / (distances.square() + SMALLEST_SQUARE)
        weights = weights / weights.sum(2, keepdim=True)
        if counts is not None:
            weights = weights * real_rows(queries, counts).unsqueeze(2)
        return cls(rows, weights)

    def carry(
        self, features: Float[Tensor, "batch places channels"]
    ) -> Float[Tensor, "batch queries channels"]:
        """The features of the queries; gradients flow to those of the places."""
        weights = self.weights.to(features.dtype)
        carried = weights[..., :1] * gather_points(features, self.rows[..., 0])
        for nearest in range(1, self.rows.shape[2]):  # one after the other: a third of the memory
            carried = carried + weights[..., nearest : nearest + 1] * gather_points(
                features, self.rows[..., nearest]
            )
        return carried


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
    return Interpolation.between(queries, places, counts).carry(features)
