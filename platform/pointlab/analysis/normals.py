"""What tokens tell of the surface: a linear probe for the normal at the place of each token.

The sign of a normal is a convention, so the probe predicts nnᵀ, which has none: ridge regression from
standardised tokens x to its six numbers, in closed form,

    W = (XᵀX / n + penalty)⁻¹ XᵀY / n

from sums of xxᵀ and xyᵀ in float64 that grow batch by batch, so that memory does not depend on the data. The
prediction is the leading eigenvector of the predicted matrix; the error is the angle between two lines, from
0 to 90 degrees. Random directions are 57.3 degrees (one radian) apart in the mean: chance, where normals
prefer no direction. A probe that learns nothing answers with the set's principal direction, which is closer
than that where, as with upright furniture, there is one.
"""

import torch
from jaxtyping import Float, Float64
from torch import Tensor

from pointlab.analysis.spacing import evenly_spaced
from pointlab.backbones import Features
from pointlab.data.sample import PointBatch
from pointlab.geometry import gather_points, nearest_neighbours

Tokens = Float[Tensor, "tokens width"]
Directions = Float[Tensor, "tokens 3"]


class NormalProbe:
    """The probe of one stage: `add` tokens of the training split, `solve`, then `score` others."""

    def __init__(self, width: int, penalty: float, device: torch.device) -> None:
        def zeros(*shape: int) -> Float64[Tensor, "..."]:
            return torch.zeros(shape, dtype=torch.float64, device=device)

        self.penalty, self.num_fit, self.num_scored = penalty, 0, 0
        self.origin: Tensor | None = None
        self.token_sum, self.token_products = zeros(width), zeros(width, width)
        self.normal_sum, self.joint_products = zeros(6), zeros(width, 6)
        self.weights, self.bias, self.angle_sum = zeros(width, 6), zeros(6), zeros()

    def add(self, tokens: Tokens, normals: Directions) -> None:
        """Take these tokens with their normals into the sums."""
        if not len(tokens):
            return
        tokens = tokens.double()
        if self.origin is None:  # near the mean, so that the sums of squares keep their digits
            self.origin = tokens.mean(0)
        tokens, targets = tokens - self.origin, outer_products(normals.double())
        self.num_fit += len(tokens)
        self.token_sum += tokens.sum(0)
        self.token_products.addmm_(tokens.T, tokens)
        self.normal_sum += targets.sum(0)
        self.joint_products.addmm_(tokens.T, targets)

    def solve(self) -> None:
        """Find the weights from the sums."""
        assert self.origin is not None, "nothing was added"
        mean, target = self.token_sum / self.num_fit, self.normal_sum / self.num_fit
        covariance = self.token_products / self.num_fit - mean.outer(mean)
        deviation = covariance.diagonal().clamp_min(0).sqrt().clamp_min(1e-6)
        ridge = covariance / deviation.outer(deviation)
        ridge.diagonal().add_(self.penalty)
        joint = self.joint_products / self.num_fit - mean.outer(target)
        self.weights = torch.linalg.solve(ridge, joint / deviation[:, None]) / deviation[:, None]
        self.bias = target - (self.origin + mean) @ self.weights

    def predict(self, tokens: Tokens) -> Directions:
        """The predicted normals, of either sign."""
        xx, yy, zz, xy, xz, yz = (tokens.double() @ self.weights + self.bias).unbind(1)
        matrices = torch.stack([xx, xy, xz, xy, yy, yz, xz, yz, zz], dim=1).view(-1, 3, 3)
        vectors: Tensor = torch.linalg.eigh(matrices).eigenvectors
        return vectors[..., 2]

    def score(self, tokens: Tokens, normals: Directions) -> None:
        """Take the errors at these tokens into the mean."""
        if not len(tokens):
            return
        self.angle_sum += angles(self.predict(tokens), normals.double()).sum()
        self.num_scored += len(tokens)

    @property
    def error(self) -> float | None:
        """The mean angle in degrees; None where nothing was scored."""
        return float(self.angle_sum) / self.num_scored if self.num_scored else None


def outer_products(normals: Directions) -> Float[Tensor, "tokens 6"]:
    """The six numbers of nnᵀ: xx, yy, zz, xy, xz, yz."""
    return torch.cat([normals * normals, normals[:, [0, 0, 1]] * normals[:, [1, 2, 2]]], dim=1)


def angles(one: Directions, other: Directions) -> Float[Tensor, " tokens"]:
    """Degrees between lines in these directions, 0 to 90; exact for small angles, unlike an arc cosine."""
    along = (one * other).sum(1).abs()
    across = torch.linalg.vector_norm(torch.linalg.cross(one, other), dim=1)
    return torch.rad2deg(torch.atan2(across, along))


def tokens_with_normals(
    found: Features, batch: PointBatch, limit: int, *, are_points: bool
) -> tuple[Tokens, Directions]:
    """At most `limit` tokens of each cloud, evenly spaced over its own, and the normal at each one's place.

    A token that is a point has that point's normal, another one that of the point nearest to its position.
    Tokens at a normal of length 0, which means that it is not known, are left out.
    """
    assert batch.normals is not None, "there is nothing to predict"
    num_tokens = found.tokens.shape[1]
    counts = batch.counts if are_points else torch.full_like(batch.counts, num_tokens)
    rows, is_real = evenly_spaced(counts, min(limit, num_tokens))
    places = rows
    if not are_points:
        positions = gather_points(found.positions, rows)
        places = nearest_neighbours(positions, batch.points, 1, batch.counts)[1].squeeze(2)
    tokens, normals = gather_points(found.tokens, rows), gather_points(batch.normals, places)
    is_told = is_real & normals.any(2)
    return tokens[is_told], normals[is_told]
