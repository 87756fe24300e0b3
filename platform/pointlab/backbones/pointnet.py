"""PointNet: every point through the same layers, and the maximum over the cloud.

Qi et al., "PointNet: Deep Learning on Point Sets for 3D Classification and Segmentation", CVPR 2017, figure 2
and appendix C. With the paper's head (512 and 256 hidden units, 40 classes) it has 3.48 million parameters.
"""

from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Float
from pydantic import Field, PositiveInt
from torch import Tensor, nn

from pointlab.backbones.pointwise import Packing, PointwiseLayer, Rows, pointwise_layers
from pointlab.backbones.surface import Backbone, BackboneSettings, Features, PointFeatures
from pointlab.data.sample import PointBatch


class PointNetConfig(BackboneSettings):
    """Sizes of a PointNet; the defaults are the paper's."""

    kind: Literal["pointnet"] = "pointnet"
    widths: tuple[PositiveInt, PositiveInt, PositiveInt, PositiveInt, PositiveInt] = (64, 64, 64, 128, 1024)
    """Channels of its five layers; the feature transform sits between the second and the third."""
    transform_widths: tuple[PositiveInt, PositiveInt, PositiveInt] = (64, 128, 1024)
    """Channels of the layers over points in both transform networks."""
    transform_hidden: tuple[PositiveInt, PositiveInt] = (512, 256)
    """Hidden units of the layers that follow the maximum in both transform networks."""
    transforms: bool = True
    """Whether there are transform networks; without them it is the paper's "vanilla" PointNet."""
    orthogonality: float = Field(default=1e-3, ge=0)
    """Weight of the penalty on feature transforms that are not orthogonal (the paper's equation 2)."""


class PointNet(Backbone):
    """Tokens are points; stages are `layer_1` to `layer_5`, each owning the transform in front of it.

    `pooled` is the maximum over the points. `point_features` joins each point's own feature after the feature
    transform to the global one, as the paper's segmentation network does.
    """

    def __init__(self, config: PointNetConfig) -> None:
        super().__init__()
        self.config = config
        self.widths = config.widths
        self.stages = self.point_stages = tuple(f"layer_{n + 1}" for n in range(len(config.widths)))
        self.num_features = config.widths[-1]
        self.min_points = 1
        inputs = (3, *config.widths[:-1])
        self.layers = nn.ModuleList(PointwiseLayer(n, m) for n, m in zip(inputs, config.widths, strict=True))
        self.input_transform = TransformNet(3, config) if config.transforms else None
        self.feature_transform = TransformNet(config.widths[1], config) if config.transforms else None

    @property
    def point_width(self) -> int:
        """The channels of a point's own feature and those of the global one."""
        return self.config.widths[1] + self.config.widths[-1]

    def compute(self, batch: PointBatch, stages: AbstractSet[str]) -> dict[str, Features]:
        """Features after each of `stages`."""
        packing, flow = self._flow(batch)
        return {
            stage: Features(
                packing.unpack(flow.rows[stage]),
                batch.points,
                packing.maximum(flow.rows[stage]),
                flow.penalty,
            )
            for stage in stages
        }

    def point_features(self, batch: PointBatch) -> PointFeatures:
        """Each point's own feature after the feature transform, and the global feature beside it."""
        self._check_counts(batch)
        packing, flow = self._flow(batch)
        of_clouds = packing.maximum(flow.rows[self.stages[-1]])
        joined = torch.cat([flow.transformed, packing.spread(of_clouds)], dim=1)
        return PointFeatures(packing.unpack(joined), flow.penalty)

    def stage_of(self, parameter: str) -> str:
        """The layer; the first and the third for the transforms in front of them."""
        part, _, rest = parameter.partition(".")
        if part == "layers":
            return self.stages[int(rest.partition(".")[0])]
        return self.stages[0 if part == "input_transform" else 2]

    def _flow(self, batch: PointBatch) -> tuple[Packing, "_Flow"]:
        """The points through all layers, turned by the transforms on the way, and how they are packed."""
        packing = Packing.of(batch.points, batch.counts)
        rows, found, penalty = packing.pack(batch.points), {}, None
        if self.input_transform is not None:
            rows = turned(rows, self.input_transform(rows, packing), packing)
        for stage, layer in zip(self.stages[:2], self.layers[:2], strict=True):
            rows = found[stage] = layer(rows)
        if self.feature_transform is not None:
            matrices = self.feature_transform(rows, packing)
            penalty = self.config.orthogonality * distance_from_orthogonal(matrices)
            rows = turned(rows, matrices, packing)
        transformed = rows
        for stage, layer in zip(self.stages[2:], self.layers[2:], strict=True):
            rows = found[stage] = layer(rows)
        return packing, _Flow(found, transformed, penalty)


@dataclass(frozen=True)
class _Flow:
    """Rows after every stage, and what else came up on the way."""

    rows: dict[str, Rows]
    transformed: Rows
    penalty: Float[Tensor, ""] | None


class TransformNet(nn.Module):
    """A small PointNet that predicts a square matrix for each cloud, the identity to begin with."""

    def __init__(self, size: int, config: PointNetConfig) -> None:
        super().__init__()
        self.size = size
        self.layers = pointwise_layers(size, config.transform_widths)
        first, second = config.transform_hidden
        self.hidden = pointwise_layers(config.transform_widths[-1], (first, second))
        self.out = nn.Linear(second, size * size)
        nn.init.zeros_(self.out.weight)
        with torch.no_grad():
            self.out.bias.copy_(torch.eye(size).flatten())

    def forward(self, rows: Rows, packing: Packing) -> Float[Tensor, "batch size size"]:
        """The matrix of every cloud."""
        matrices: Tensor = self.out(self.hidden(packing.maximum(self.layers(rows))))
        return matrices.view(-1, self.size, self.size)


def turned(rows: Rows, matrices: Float[Tensor, "batch size size"], packing: Packing) -> Rows:
    """Every row times the matrix of its cloud."""
    return packing.pack(packing.unpack(rows) @ matrices)


def distance_from_orthogonal(matrices: Float[Tensor, "batch size size"]) -> Float[Tensor, ""]:
    """The mean over clouds of |1 - AAᵀ|², the squared Frobenius norm (the paper's equation 2)."""
    identity = torch.eye(matrices.shape[1], device=matrices.device, dtype=matrices.dtype)
    return (identity - matrices @ matrices.transpose(1, 2)).square().sum((1, 2)).mean()
