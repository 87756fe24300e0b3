"""Which cells of a cubic grid hold points: the coordinates that sparse convolutions work on.

A cell is named by a key: its cloud and its three coordinates, 16 bits each, so that keys ascend as
(cloud, x, y, z) do, a step along an axis is an addition, and the cell of twice the size is a shift. The grid
lies at the origin of the coordinates: which cell a point is in does not depend on the others.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from pointlab.errors import DataError
from pointlab.geometry.padding import real_rows

BITS = 16
"""Of each coordinate in a key."""
STEPS = (1 << 2 * BITS, 1 << BITS, 1)
"""What a step along x, y and z adds to a key."""
MOST_CELLS = (1 << BITS) - 8
"""A cloud's extent in cells; a kernel that reaches past a border then finds a coordinate that no cell has."""
ALIGNED = 1 << 10
"""Grids up to so many times as coarse keep their place in space where keys begin anew for each cloud."""
_HALVED = (1 << BITS - 1) - 1
_WITHIN = sum(_HALVED * step for step in STEPS)
_CLOUD = -(1 << 3 * BITS)


@dataclass(frozen=True)
class Voxels:
    """The cells that hold points, ascending by key; `ends` is where those of each cloud end."""

    keys: Int64[Tensor, " voxels"]
    ends: Int64[Tensor, " batch"]

    def __len__(self) -> int:
        return len(self.keys)

    @property
    def cells(self) -> Int64[Tensor, "voxels 4"]:
        """Cloud, x, y and z; coordinates are not negative."""
        fields = [self.keys >> 3 * BITS, *(self.keys // step & (1 << BITS) - 1 for step in STEPS)]
        return torch.stack(fields, dim=1)

    def coarser(self) -> tuple["Voxels", Int64[Tensor, " voxels"], Int64[Tensor, " voxels"]]:
        """The cells of twice the size; which of them each cell is in, and which of its eight parts it is."""
        keys = (self.keys & _CLOUD) | (self.keys >> 1 & _WITHIN)
        unique, parents = torch.unique(keys, return_inverse=True)
        x, y, z = (self.keys // step & 1 for step in STEPS)
        return Voxels(unique, _ends(unique, len(self.ends))), parents, 4 * x + 2 * y + z


def voxelise(
    points: Float[Tensor, "batch points 3"], counts: Int64[Tensor, " batch"], voxel_size: float
) -> tuple[Voxels, Int64[Tensor, "batch points"]]:
    """The cells with edges of `voxel_size` that hold points, and the cell of each point, -1 in padding.

    Raises DataError where a cloud spans more cells than a key can tell apart.
    """
    is_real = real_rows(points, counts)
    cells = torch.floor(points / voxel_size).masked_fill(~is_real.unsqueeze(2), torch.nan)
    low = cells.nan_to_num(torch.inf).amin(1, keepdim=True)
    low = torch.floor(low / ALIGNED) * ALIGNED
    cells = (cells - low).masked_fill(~is_real.unsqueeze(2), 0)
    _require_span(cells, voxel_size)
    clouds = torch.arange(len(points), device=points.device).view(-1, 1, 1)
    steps = torch.tensor(STEPS, device=points.device)
    keys = (cells.long() * steps).sum(2, keepdim=True).add_(clouds << 3 * BITS).squeeze(2)
    unique, found = torch.unique(keys[is_real], return_inverse=True)
    places = torch.full_like(keys, -1).masked_scatter_(is_real, found)
    return Voxels(unique, _ends(unique, len(points))), places


def _require_span(cells: Float[Tensor, "batch points 3"], voxel_size: float) -> None:
    span = float(cells.max()) + 1 if cells.numel() else 0
    if not span <= MOST_CELLS:  # also where a coordinate is not finite
        raise DataError(
            f"A cloud of the batch spans {span:.6g} cells of {voxel_size:g}.",
            expected=f"at most {MOST_CELLS - ALIGNED}",
            remedy="raise voxel_size of the backbone, or check the unit of the coordinates",
        )


def _ends(keys: Int64[Tensor, " voxels"], num_clouds: int) -> Int64[Tensor, " batch"]:
    """Where the cells of each cloud end."""
    return torch.searchsorted(keys, torch.arange(1, num_clouds + 1, device=keys.device) << 3 * BITS)
