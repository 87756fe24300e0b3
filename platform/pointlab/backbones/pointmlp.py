"""PointMLP: residual layers on groups of points, each stage with half of the centres and twice the channels.

Ma et al., "Rethinking Network Design and Local Geometry in Point Cloud: A Simple Residual MLP Framework",
ICLR 2022, section 3; details as in the released classifiers for ModelNet40, whose groups hold features and no
coordinates. With their head (512 and 256 hidden units, 40 classes) PointMLP has 13,238,504 parameters and
PointMLP-elite 716,232. The paper's 12.6 and 0.68 million are these numbers divided by 2²⁰.
"""

from collections.abc import Iterator
from collections.abc import Set as AbstractSet
from itertools import islice, pairwise
from typing import Literal

from pydantic import Field, PositiveInt, model_validator
from torch import nn

from pointlab.backbones.pointmlp_stage import GroupStage
from pointlab.backbones.pointwise import Packing, PointwiseLayer
from pointlab.backbones.surface import Backbone, BackboneSettings, Features
from pointlab.data.sample import PointBatch
from pointlab.geometry import Places, gather_points

Counts = tuple[PositiveInt, ...]


class PointMlpConfig(BackboneSettings):
    """Sizes of a PointMLP; the defaults are the paper's for 1,024 points."""

    kind: Literal["pointmlp"] = "pointmlp"
    embedding_width: PositiveInt = 64
    """Channels of the layer that every point passes before the first stage."""
    num_centres: Counts = Field(default=(512, 256, 128, 64), min_length=1)
    """Centres of each stage. The paper halves the number of points; a batch may hold clouds of several
    sizes, so the numbers are settings here."""
    expansions: Counts = (2, 2, 2, 2)
    """By how much each stage multiplies the channels."""
    num_pre_blocks: Counts = (2, 2, 2, 2)
    """Residual blocks of each stage before the maximum over a group."""
    num_pos_blocks: Counts = (2, 2, 2, 2)
    """Residual blocks of each stage after it."""
    num_neighbours: PositiveInt = 24
    """Points of a group, its centre among them."""
    bottleneck: float = Field(default=1.0, gt=0)
    """Channels inside a residual block, as a multiple of those outside; 0.25 in the elite variant."""

    @property
    def widths(self) -> tuple[int, ...]:
        """Channels after the embedding and after every stage."""
        widths = [self.embedding_width]
        for expansion in self.expansions:
            widths.append(widths[-1] * expansion)
        return tuple(widths)

    @model_validator(mode="after")
    def _check_stages(self) -> "PointMlpConfig":
        per_stage = (self.num_centres, self.expansions, self.num_pre_blocks, self.num_pos_blocks)
        lengths = [len(numbers) for numbers in per_stage]
        if len(set(lengths)) > 1:
            raise ValueError(
                "num_centres, expansions, num_pre_blocks and num_pos_blocks are of one length, "
                f"a number for each stage; they are of {lengths}"
            )
        if any(later > earlier for earlier, later in pairwise(self.num_centres)):
            raise ValueError(f"num_centres {self.num_centres} must not rise from stage to stage")
        if any(self.num_neighbours > number for number in self.num_centres[:-1]):
            raise ValueError(
                f"num_neighbours {self.num_neighbours} exceeds the centres of a stage that the next one "
                f"groups: num_centres {self.num_centres}"
            )
        if int(self.bottleneck * self.widths[1]) < 1:
            raise ValueError(f"bottleneck {self.bottleneck} leaves no channel of {self.widths[1]}")
        return self


class PointMlp(Backbone):
    """Tokens are points at the stage `embedding` and centres from `stage_1` on; `pooled` is their maximum.

    Centres are farthest-point samples from the first point on, each stage's among those of the one before.
    """

    def __init__(self, config: PointMlpConfig) -> None:
        super().__init__()
        self.config = config
        self.stages = ("embedding", *(f"stage_{n + 1}" for n in range(len(config.num_centres))))
        self.point_stages = self.stages[:1]
        self.widths, self.num_features = config.widths, config.widths[-1]
        self.min_points = max(config.num_centres[0], config.num_neighbours)
        self.embedding = PointwiseLayer(3, config.embedding_width, bias=False)
        blocks = zip(config.num_pre_blocks, config.num_pos_blocks, strict=True)
        self.groups = nn.ModuleList(
            GroupStage(num_inputs, num_outputs, num_pre, num_pos, config.bottleneck)
            for (num_inputs, num_outputs), (num_pre, num_pos) in zip(
                pairwise(config.widths), blocks, strict=True
            )
        )

    def compute(self, batch: PointBatch, stages: AbstractSet[str]) -> dict[str, Features]:
        """Features after each of `stages`; what lies beyond the deepest of them is not computed."""
        depth = 1 + max(self.stages.index(stage) for stage in stages)
        flow = zip(self.stages, islice(self._flow(batch), depth), strict=False)
        return {stage: features for stage, features in flow if stage in stages}

    def stage_of(self, parameter: str) -> str:
        """The stage that owns `parameter`, else the embedding."""
        part, _, rest = parameter.partition(".")
        return self.stages[1 + int(rest.partition(".")[0]) if part == "groups" else 0]

    def _flow(self, batch: PointBatch) -> Iterator[Features]:
        """Features after each stage, computed as far as they are asked for."""
        packing = Packing.of(batch.points, batch.counts)
        rows = self.embedding(packing.pack(batch.points))
        tokens, places = packing.unpack(rows), batch.geometry(Places)
        yield Features(tokens, batch.points, packing.maximum(rows))
        for group, num_centres in zip(self.groups, self.config.num_centres, strict=True):
            centres = places.picked(num_centres)
            members = centres.nearest(self.config.num_neighbours)
            tokens, places = group(tokens, gather_points(tokens, centres.rows), members), centres
            yield Features(tokens, places.positions, tokens.amax(1))
