"""A patch of points from one token: a few coarse points, and small grids folded around them.

FoldingNet (Yang et al., CVPR 2018) as in Point-BERT's discrete autoencoder (Yu et al., CVPR 2022), which ACT
keeps (Dong et al., ICLR 2023).
"""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from pointlab.errors import ConfigError

GRID_SIDE = 2
GRID_REACH = 0.05
"""A grid of 2 by 2 points at ±0.05, as in the released code."""
NUM_CELLS = GRID_SIDE**2


def num_coarse_points(group_size: int) -> int:
    """How many points of a patch are coarse: one for each grid; ConfigError where grids cannot fill it."""
    if group_size % NUM_CELLS:
        raise ConfigError(
            f"backbone.group_size is {group_size}.",
            expected=f"a multiple of {NUM_CELLS}: so many fine points are folded around each coarse one",
            remedy="change backbone.group_size",
        )
    return group_size // NUM_CELLS


class FoldingDecoder(nn.Module):
    """Coarse points by a perceptron; around each four fine ones, from token, grid and coarse point."""

    grid: Tensor

    def __init__(self, width: int, group_size: int, coarse_width: int = 1024, fine_width: int = 512) -> None:
        """Raises ConfigError where `group_size` is no multiple of four."""
        super().__init__()
        self.num_coarse = num_coarse_points(group_size)
        self.coarse = nn.Sequential(
            nn.Linear(width, coarse_width),
            nn.ReLU(),
            nn.Linear(coarse_width, coarse_width),
            nn.ReLU(),
            nn.Linear(coarse_width, 3 * self.num_coarse),
        )
        self.join = nn.Linear(width + 2 + 3, fine_width)  # token, grid, coarse point, in this order
        self.join_norm = nn.BatchNorm1d(fine_width)
        self.fold = nn.Linear(fine_width, fine_width)
        self.fold_norm = nn.BatchNorm1d(fine_width)
        self.offset = nn.Linear(fine_width, 3)
        side = torch.linspace(-GRID_REACH, GRID_REACH, GRID_SIDE)
        cells = torch.stack(
            [side.repeat(GRID_SIDE), side.repeat_interleave(GRID_SIDE)], dim=1
        )  # x runs fastest
        self.register_buffer("grid", cells, persistent=False)

    def forward(
        self, tokens: Float[Tensor, "batch groups width"]
    ) -> tuple[Float[Tensor, "batch groups coarse 3"], Float[Tensor, "batch groups fine 3"]]:
        """Points of each patch, relative to its centre; the fine ones 4c to 4c + 3 belong to the coarse c."""
        batch, groups = tokens.shape[:2]
        rows = tokens.flatten(0, 1)
        coarse = self.coarse(rows).view(len(rows), self.num_coarse, 1, 3)
        joined = self.join_norm(self._joined(rows, coarse)).relu()
        folded = self.fold_norm(self.fold(joined)).relu()
        offsets = self.offset(folded).view(len(rows), self.num_coarse, NUM_CELLS, 3)
        fine = (coarse + offsets).flatten(1, 2)
        return coarse.view(batch, groups, self.num_coarse, 3), fine.view(batch, groups, -1, 3)

    def _joined(
        self, rows: Float[Tensor, "rows width"], coarse: Float[Tensor, "rows coarse 1 3"]
    ) -> Float[Tensor, "points fine_width"]:
        """`join` of [token, grid, coarse point] at every fine point, without building that concatenation.

        The token is the same for all fine points of a patch and the grid for all patches: each part is
        multiplied once, and the parts are added.
        """
        to_token, to_grid, to_coarse = self.join.weight.split([rows.shape[1], 2, 3], dim=1)
        of_token = nn.functional.linear(rows, to_token, self.join.bias)[:, None, None]
        of_grid = nn.functional.linear(self.grid.to(rows.dtype), to_grid)
        of_coarse = nn.functional.linear(coarse, to_coarse)
        return (of_token + of_grid + of_coarse).flatten(0, 2)
