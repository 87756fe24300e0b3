"""DGCNN: edge convolutions on a graph that is drawn anew from the features of every layer.

Wang et al., "Dynamic Graph CNN for Learning on Point Clouds", ACM Transactions on Graphics 2019, sections 3.1
to 3.3 and figure 3; details as in the released PyTorch code, whose classifier has no spatial transformer and
counts a point as its own first neighbour. That classifier has 1,809,576 parameters at 40 classes. With the
shared head of 512 and 256 hidden units it has 512 more, as the head's first layer has a bias here; that head
also has ReLU where the released one has LeakyReLU.
"""

from collections.abc import Iterator
from collections.abc import Set as AbstractSet
from functools import partial
from itertools import islice
from typing import Literal

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int64
from pydantic import Field, PositiveInt
from torch import Tensor, nn

from pointlab.backbones.pointwise import Packing, PointwiseLayer, RowNorm, Rows
from pointlab.backbones.precision import exact_products, wide
from pointlab.backbones.surface import Backbone, BackboneSettings, Features, PointFeatures
from pointlab.data.sample import PointBatch
from pointlab.geometry import feature_neighbours, nearest_neighbours

leaky_relu = partial(F.leaky_relu, negative_slope=0.2)
"""The paper's activation throughout."""


class DgcnnConfig(BackboneSettings):
    """Sizes of a DGCNN; the defaults are the paper's for 1,024 points."""

    kind: Literal["dgcnn"] = "dgcnn"
    num_neighbours: PositiveInt = 20
    """Neighbours of a point, itself included; the paper takes 40 for 2,048 points."""
    edge_widths: tuple[PositiveInt, ...] = Field(default=(64, 64, 128, 256), min_length=1)
    """Channels after each edge convolution."""
    embedding_width: PositiveInt = 1024
    """Channels of the layer that sees all edge convolutions of a point together."""


class Dgcnn(Backbone):
    """Tokens are points; stages are `edge_1`, `edge_2`, … and `embedding`.

    `pooled` joins the maximum and the mean over the points. `point_features` joins what all edge convolutions
    say of a point and the maximum of the embedding, as the paper's segmentation network does.
    """

    def __init__(self, config: DgcnnConfig) -> None:
        super().__init__()
        self.config = config
        names = (f"edge_{n + 1}" for n in range(len(config.edge_widths)))
        self.stages = self.point_stages = (*names, "embedding")
        self.widths = (*config.edge_widths, config.embedding_width)
        self.num_features = 2 * config.embedding_width
        self.min_points = config.num_neighbours
        inputs = (3, *config.edge_widths[:-1])
        self.edges = nn.ModuleList(
            EdgeConvolution(n, m) for n, m in zip(inputs, config.edge_widths, strict=True)
        )
        self.embedding = PointwiseLayer(
            sum(config.edge_widths), config.embedding_width, bias=False, activation=leaky_relu
        )

    @property
    def point_width(self) -> int:
        """The channels of all stages."""
        return sum(self.widths)

    def compute(self, batch: PointBatch, stages: AbstractSet[str]) -> dict[str, Features]:
        """Features after each of `stages`; what lies beyond the deepest of them is not computed."""
        packing = Packing.of(batch.points, batch.counts)
        depth = 1 + max(self.stages.index(stage) for stage in stages)
        return {
            stage: Features(packing.unpack(rows), batch.points, _maximum_and_mean(rows, packing))
            for stage, rows in islice(self._flow(batch, packing), depth)
            if stage in stages
        }

    def point_features(self, batch: PointBatch) -> PointFeatures:
        """What every edge convolution says of a point, and the maximum of the embedding beside it."""
        self._check_counts(batch)
        packing = Packing.of(batch.points, batch.counts)
        *of_edges, embedded = (rows for _, rows in self._flow(batch, packing))
        joined = torch.cat([*of_edges, packing.spread(packing.maximum(embedded))], dim=1)
        return PointFeatures(packing.unpack(joined))

    def stage_of(self, parameter: str) -> str:
        """The edge convolution that owns `parameter`, else the embedding."""
        part, _, rest = parameter.partition(".")
        return self.stages[int(rest.partition(".")[0]) if part == "edges" else -1]

    def _flow(self, batch: PointBatch, packing: Packing) -> Iterator[tuple[str, Rows]]:
        """The rows after each stage, computed as far as they are asked for."""
        rows, of_edges = packing.pack(batch.points), list[Rows]()
        neighbours = batch.geometry(nearest_points, self.config.num_neighbours)
        for stage, edge in zip(self.stages[:-1], self.edges, strict=True):
            if of_edges:
                neighbours = feature_neighbours(
                    packing.unpack(rows), self.config.num_neighbours, batch.counts
                )
            rows = edge(rows, _among_packed(neighbours, packing))
            of_edges.append(rows)
            yield stage, rows
        yield self.stages[-1], self.embedding(torch.cat(of_edges, dim=1))


class EdgeConvolution(nn.Module):
    """A point seen from its neighbours: the maximum over them of LeakyReLU(BN(W [x_j - x_i, x_i])).

    The product is linear in both ends of an edge, W₁(x_j - x_i) + W₂x_i = W₁x_j + (W₂ - W₁)x_i: two products
    for every point take the place of one for every edge. In training the normalisation sees all edges. The
    activation never falls, so it may follow the maximum, over a twentieth of the values. In evaluation so may
    the normalisation, which rises or falls with the sign of its weight: it then follows either extreme.
    Products are formed in float32 (`precision.py`).
    """

    def __init__(self, num_inputs: int, num_outputs: int) -> None:
        super().__init__()
        self.linear = nn.Linear(2 * num_inputs, num_outputs, bias=False)
        self.norm = RowNorm(num_outputs)

    def forward(
        self, rows: Float[Tensor, "rows inputs"], neighbours: Int64[Tensor, "rows neighbours"]
    ) -> Float[Tensor, "rows outputs"]:
        """Every row with its neighbours, which are given by their places among the rows."""
        to_neighbour, to_point = self.linear.weight.chunk(2, dim=1)
        with exact_products(rows.device):
            of_points = F.linear(wide(rows), to_point - to_neighbour)
            of_neighbours = F.embedding(neighbours, F.linear(wide(rows), to_neighbour))  # without a view
        if self.norm.training:
            edges = self.norm(of_neighbours.add_(of_points.unsqueeze(1)).flatten(0, 1))
            return leaky_relu(edges.view(of_neighbours.shape).max(1).values)
        is_falling = self.norm.weight < 0
        extremes = torch.where(is_falling, of_neighbours.amin(1), of_neighbours.amax(1))
        return leaky_relu(self.norm(extremes + of_points))


def nearest_points(
    points: Float[Tensor, "batch points 3"], counts: Int64[Tensor, " batch"], num_neighbours: int
) -> Int64[Tensor, "batch points neighbours"]:
    """The rows nearest to every point, its own first: the graph that is drawn from coordinates."""
    return nearest_neighbours(points, points, num_neighbours, counts)[1]


def _among_packed(
    neighbours: Int64[Tensor, "batch points neighbours"], packing: Packing
) -> Int64[Tensor, "rows neighbours"]:
    """Rows within each cloud as rows of the packed batch, for its real points."""
    starts = packing.counts.cumsum(0) - packing.counts
    rows = (neighbours + starts.view(-1, 1, 1)).flatten(0, 1)
    return rows if packing.at is None else rows.index_select(0, packing.at)


def _maximum_and_mean(rows: Rows, packing: Packing) -> Float[Tensor, "batch features"]:
    return torch.cat([packing.maximum(rows), packing.mean(rows)], dim=1)
