"""A graph network over patch centres: what tokens say to their neighbours in space.

The DGCNN of Point-BERT's discrete autoencoder (Yu et al., CVPR 2022), which ACT keeps (Dong et al., ICLR
2023). Unlike in DGCNN itself the graph is drawn once, between the centres, and layers are group-normalised.
"""

from itertools import pairwise

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int64
from torch import Tensor, nn

from pointlab.backbones.precision import exact_products, wide
from pointlab.errors import ConfigError
from pointlab.geometry import gather_points, nearest_neighbours

NUM_NEIGHBOURS = 4  # of each centre, itself included, as in both papers' code
NUM_NORM_GROUPS = 4
SLOPE = 0.2


def require_neighbours(num_groups: int) -> None:
    """ConfigError where a cloud has fewer patches than the graph gives neighbours to each."""
    if num_groups < NUM_NEIGHBOURS:
        raise ConfigError(
            f"backbone.num_groups is {num_groups}.",
            expected=f"at least {NUM_NEIGHBOURS}: in ACT's graphs each patch has so many neighbours",
            remedy="raise backbone.num_groups",
        )


def is_shared_by_norms(channels: int) -> bool:
    """Whether the graphs' group normalisation can share out so many channels."""
    return channels % NUM_NORM_GROUPS == 0


def nearest_centres(centres: Float[Tensor, "batch groups 3"]) -> Int64[Tensor, "batch groups neighbours"]:
    """The graph: rows of the nearest centres of each, itself among them; DataError if there are too few."""
    return nearest_neighbours(centres, centres, NUM_NEIGHBOURS)[1]


class CentreGraph(nn.Module):
    """Four edge convolutions on the graph of nearest centres, joined and brought to `num_outputs`
    channels."""

    def __init__(self, num_inputs: int, num_outputs: int, widths: tuple[int, ...]) -> None:
        """`widths`: after the first linear layer, and after each edge convolution."""
        super().__init__()
        self.input = nn.Linear(num_inputs, widths[0])
        self.edges = nn.ModuleList(EdgeLayer(before, after) for before, after in pairwise(widths))
        self.output = nn.Linear(sum(widths[1:]), num_outputs, bias=False)
        self.norm = nn.GroupNorm(NUM_NORM_GROUPS, num_outputs)

    def forward(
        self,
        tokens: Float[Tensor, "batch groups inputs"],
        neighbours: Int64[Tensor, "batch groups neighbours"],
    ) -> Float[Tensor, "batch groups outputs"]:
        """Tokens that know their neighbourhood; the activation comes last, so outputs lean positive."""
        rows, found = self.input(tokens), []
        for edge in self.edges:
            rows = edge(rows, neighbours)
            found.append(rows)
        joined = self.output(torch.cat(found, dim=2)).transpose(1, 2)
        return F.leaky_relu(self.norm(joined), SLOPE).transpose(1, 2)


class EdgeLayer(nn.Module):
    """The maximum over neighbours j of LeakyReLU(GroupNorm(W [f_j - f_i, f_i])).

    As W₁(f_j - f_i) + W₂f_i = W₁f_j + (W₂ - W₁)f_i, two products for each centre take the place of one for
    each edge. The norm's moments are those of all edges of a cloud.
    """

    def __init__(self, num_inputs: int, num_outputs: int) -> None:
        super().__init__()
        self.linear = nn.Linear(2 * num_inputs, num_outputs, bias=False)
        self.norm = nn.GroupNorm(NUM_NORM_GROUPS, num_outputs)

    def forward(
        self,
        tokens: Float[Tensor, "batch groups inputs"],
        neighbours: Int64[Tensor, "batch groups neighbours"],
    ) -> Float[Tensor, "batch groups outputs"]:
        """Every token after a look at its neighbours."""
        to_neighbour, to_centre = self.linear.weight.chunk(2, dim=1)
        with exact_products(tokens.device):
            of_centres = F.linear(wide(tokens), to_centre - to_neighbour)
            of_neighbours = gather_points(F.linear(wide(tokens), to_neighbour), neighbours)
        edges = (of_neighbours + of_centres.unsqueeze(2)).permute(
            0, 3, 1, 2
        )  # (batch, outputs, groups, edges)
        return F.leaky_relu(self.norm(edges), SLOPE).amax(3).transpose(1, 2)
