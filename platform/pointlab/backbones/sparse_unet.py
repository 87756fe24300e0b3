"""A U-Net of sparse convolutions: cells of growing size, and back to the smallest with what was skipped.

The defaults are Res16UNet34C, the network of Choy et al., "4D Spatio-Temporal ConvNets: Minkowski
Convolutional Neural Networks", CVPR 2019, that contrastive pretraining on scenes took over: a stem, four
times a strided convolution and residual blocks, and four times a transposed one, the skipped features, and
blocks.
"""

from collections.abc import Iterator
from collections.abc import Set as AbstractSet
from itertools import islice
from typing import Literal

import torch
from jaxtyping import Float
from pydantic import Field, PositiveFloat, PositiveInt, model_validator
from torch import Tensor, nn

from pointlab.backbones.pointwise import Packing
from pointlab.backbones.sparse_blocks import Climb, Descent, Stem
from pointlab.backbones.sparse_convolution import Rows, spread
from pointlab.backbones.surface import Backbone, BackboneSettings, Features
from pointlab.data.sample import PointBatch
from pointlab.geometry import VoxelLevel

NUM_GEOMETRIC = 4
"""Channels of a cell without colours: that it holds points, and where their mean is within it."""


class SparseUnetConfig(BackboneSettings):
    """Sizes of a sparse U-Net; the defaults are Res16UNet34C for rooms in metres."""

    kind: Literal["sparse_unet"] = "sparse_unet"
    voxel_size: PositiveFloat = 0.05
    """Edge of the finest cells, in the unit of the coordinates: 5 cm tell the objects of a room apart; the
    paper's finest is 2, for clouds of more than 100,000 points."""
    colours: bool = False
    """Whether the mean colour of a cell's points is read besides; not every set has colours."""
    stem_width: PositiveInt = 32
    """Channels at the finest cells before any other level."""
    stem_kernel: Literal[1, 3, 5, 7] = 5
    """Cells along the edge of the first kernel."""
    widths: tuple[PositiveInt, ...] = (32, 64, 128, 256, 256, 128, 96, 96)
    """Channels of the levels down to the coarsest, and then back up to the finest."""
    depths: tuple[PositiveInt, ...] = Field(default=(2, 3, 4, 6, 2, 2, 2, 2), min_length=2)
    """Residual blocks of these levels."""

    @property
    def inputs(self) -> tuple[str, ...]:
        """Colours, where they are read."""
        return ("colours",) if self.colours else ()

    @model_validator(mode="after")
    def _check_levels(self) -> "SparseUnetConfig":
        if len(self.widths) != len(self.depths) or len(self.widths) % 2:
            raise ValueError(
                f"{len(self.widths)} widths and {len(self.depths)} depths do not fit: as many of each are"
                " needed, one for every level down and one for every level up"
            )
        return self


class SparseUnet(Backbone):
    """Stages are `stem`, `down_1` to `down_4`, `up_4` to `up_1`; all of them describe points.

    A point has the feature of the cell that it is in, so points that share a cell share a feature. `pooled`
    is the maximum over a cloud's cells; heads read it at the coarsest cells, the last stage down. What lies
    above is computed for features of points alone, and otherwise has no gradients.
    """

    def __init__(self, config: SparseUnetConfig) -> None:
        super().__init__()
        self.config = config
        self.inputs = config.inputs
        self.num_levels = len(config.widths) // 2
        down, up = config.widths[: self.num_levels], config.widths[self.num_levels :]
        skipped = (config.stem_width, *down[:-1])
        self.stem = Stem(NUM_GEOMETRIC + 3 * config.colours, config.stem_width, config.stem_kernel)
        self.downs = nn.ModuleList(
            Descent(*sizes) for sizes in zip(skipped, down, config.depths[: self.num_levels], strict=True)
        )
        self.ups = nn.ModuleList(
            Climb(*sizes)
            for sizes in zip(
                (down[-1], *up[:-1]), skipped[::-1], up, config.depths[self.num_levels :], strict=True
            )
        )
        numbers = range(1, self.num_levels + 1)
        self.stages = self.point_stages = (
            "stem",
            *(f"down_{number}" for number in numbers),
            *(f"up_{number}" for number in reversed(numbers)),
        )
        self.widths = (config.stem_width, *config.widths)
        self.num_features = down[-1]
        self.min_points = 1

    @property
    def pooled_stage(self) -> str:
        """The stage at the coarsest cells."""
        return self.stages[self.num_levels]

    def compute(self, batch: PointBatch, stages: AbstractSet[str]) -> dict[str, Features]:
        """Features after each of `stages`; what lies beyond the deepest of them is not computed."""
        packing = Packing.of(batch.points, batch.counts)
        depth = 1 + max(self.stages.index(stage) for stage in stages)
        return {
            stage: Features(
                packing.unpack(spread(rows, level.points, level.places)),
                batch.points,
                _maximum(rows, level),
            )
            for stage, (level, rows) in zip(
                self.stages, islice(self._flow(batch, packing), depth), strict=False
            )
            if stage in stages
        }

    def stage_of(self, parameter: str) -> str:
        """The level down or up that it is in, else the stem."""
        part, _, rest = parameter.partition(".")
        first = {"stem": 0, "downs": 1, "ups": 1 + self.num_levels}[part]
        return self.stages[first + (0 if part == "stem" else int(rest.partition(".")[0]))]

    def _flow(self, batch: PointBatch, packing: Packing) -> Iterator[tuple[VoxelLevel, Rows]]:
        """The cells and their rows after each stage, computed as far as they are asked for."""
        level = batch.geometry(VoxelLevel.of, self.config.voxel_size)
        rows = self.stem(self._described(batch, level, packing), level)
        passed = [(level, rows)]
        yield passed[-1]
        for down in self.downs:
            level, rows = down(level, rows)
            passed.append((level, rows))
            yield passed[-1]
        passed.pop()
        for up in self.ups:
            level, skipped = passed.pop()
            rows = up(level, rows, skipped)
            yield level, rows

    def _described(self, batch: PointBatch, level: VoxelLevel, packing: Packing) -> Rows:
        """What is known of each cell: 1, the mean place of its points within it, and their mean colour.

        A place is in cells from the middle, a colour from -1/2 to 1/2.
        """
        in_cells = batch.points / self.config.voxel_size
        known = [torch.ones_like(in_cells[..., :1]), in_cells - in_cells.floor() - 0.5]
        if self.config.colours:
            assert batch.colours is not None, "the surface has checked that they are there"
            known.append(batch.colours - 0.5)
        rows = packing.pack(torch.cat(known, dim=2))
        return level.points.sum(rows) / level.points.sizes.unsqueeze(1)


def _maximum(rows: Rows, level: VoxelLevel) -> Float[Tensor, "batch channels"]:
    """The maximum over the cells of each cloud; of equal ones the first gets the gradient."""
    return torch.stack([of_cloud.max(0).values for of_cloud in rows.split(level.sizes)])
