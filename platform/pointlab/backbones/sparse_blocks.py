"""What a sparse U-Net is made of: a stem, residual blocks, and steps to coarser and finer cells.

The blocks are the basic ones of He et al., "Deep Residual Learning for Image Recognition", CVPR 2016.
"""

import torch
import torch.nn.functional as F
from torch import nn

from pointlab.backbones.pointwise import RowNorm
from pointlab.backbones.sparse_convolution import Rows, SparseConvolution
from pointlab.geometry import KernelMap, VoxelLevel
from pointlab.geometry.kernel_maps import NUM_PARTS

BLOCK_KERNEL = 3
"""Cells along the edge of the kernels of residual blocks."""


class NormalisedConvolution(nn.Module):
    """A sparse convolution and batch normalisation."""

    def __init__(self, num_inputs: int, num_outputs: int, num_places: int) -> None:
        super().__init__()
        self.convolution = SparseConvolution(num_inputs, num_outputs, num_places)
        self.norm = RowNorm(num_outputs)

    def forward(self, rows: Rows, kernel_map: KernelMap) -> Rows:
        """A row for each output cell of the map."""
        normalised: Rows = self.norm(self.convolution(rows, kernel_map))
        return normalised


class Stem(nn.Module):
    """From what is known of cells to features of them."""

    def __init__(self, num_inputs: int, width: int, kernel_size: int) -> None:
        super().__init__()
        self.kernel_size = kernel_size
        self.layer = NormalisedConvolution(num_inputs, width, kernel_size**3)

    def forward(self, rows: Rows, level: VoxelLevel) -> Rows:
        """A row for each cell."""
        return F.relu(self.layer(rows, level.around(self.kernel_size)))


class Block(nn.Module):
    """Two convolutions, added to what they were given, or to a projection of it where widths differ."""

    def __init__(self, num_inputs: int, width: int) -> None:
        super().__init__()
        self.first = NormalisedConvolution(num_inputs, width, BLOCK_KERNEL**3)
        self.second = NormalisedConvolution(width, width, BLOCK_KERNEL**3)
        self.projection: nn.Module | None = None
        if num_inputs != width:
            self.projection = nn.Sequential(nn.Linear(num_inputs, width, bias=False), RowNorm(width))

    def forward(self, rows: Rows, kernel_map: KernelMap) -> Rows:
        """A row for each cell."""
        added = self.second(F.relu(self.first(rows, kernel_map)), kernel_map)
        return F.relu(added + (rows if self.projection is None else self.projection(rows)))


class Blocks(nn.ModuleList):
    """Residual blocks, the first of which changes the width."""

    def __init__(self, num_inputs: int, width: int, depth: int) -> None:
        super().__init__(Block(width if number else num_inputs, width) for number in range(depth))

    def forward(self, rows: Rows, level: VoxelLevel) -> Rows:
        """A row for each cell."""
        kernel_map = level.around(BLOCK_KERNEL)
        for block in self:
            rows = block(rows, kernel_map)
        return rows


class Descent(nn.Module):
    """To cells of twice the size by a strided convolution, and blocks there."""

    def __init__(self, num_inputs: int, width: int, depth: int) -> None:
        super().__init__()
        self.step = NormalisedConvolution(num_inputs, num_inputs, NUM_PARTS)
        self.blocks = Blocks(num_inputs, width, depth)

    def forward(self, level: VoxelLevel, rows: Rows) -> tuple[VoxelLevel, Rows]:
        """The coarser level and a row for each of its cells."""
        coarser, kernel_map = level.coarser
        return coarser, self.blocks(F.relu(self.step(rows, kernel_map)), coarser)


class Climb(nn.Module):
    """Back to cells of half the size by a transposed convolution, joined to what was skipped; and blocks."""

    def __init__(self, num_inputs: int, num_skipped: int, width: int, depth: int) -> None:
        super().__init__()
        self.step = NormalisedConvolution(num_inputs, width, NUM_PARTS)
        self.blocks = Blocks(width + num_skipped, width, depth)

    def forward(self, finer: VoxelLevel, rows: Rows, skipped: Rows) -> Rows:
        """A row for each cell of the finer level, from those of the coarser one."""
        _, kernel_map = finer.coarser
        carried = F.relu(self.step(rows, kernel_map.transposed))
        joined: Rows = self.blocks(torch.cat([carried, skipped], dim=1), finer)
        return joined
