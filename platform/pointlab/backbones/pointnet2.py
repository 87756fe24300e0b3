"""PointNet++: PointNets within balls within balls, from the points of a cloud to the whole of it.

Qi et al., "PointNet++: Deep Hierarchical Feature Learning on Point Sets in a Metric Space", NeurIPS 2017,
section 3 and appendix B. With the paper's head (512 and 256 hidden units, 40 classes) the single-scale
network (SSG) has 1.48 million parameters, the multi-scale one (MSG) 1.75 million.
"""

from collections.abc import Set as AbstractSet
from typing import Literal

import torch
from pydantic import Field, model_validator
from torch import nn

from pointlab.backbones.set_abstraction import (
    AbstractionConfig,
    BallConfig,
    FeaturePropagation,
    GlobalAbstraction,
    Level,
    SetAbstraction,
    Widths,
)
from pointlab.backbones.surface import Backbone, BackboneSettings, Features
from pointlab.config import ADDED_LATER
from pointlab.data.sample import PointBatch
from pointlab.geometry import Places

NUM_ABSTRACTIONS = 3


class PointNet2Config(BackboneSettings):
    """Sizes of a PointNet++; the defaults are the paper's SSG network for 1,024 points of unit radius."""

    kind: Literal["pointnet2"] = "pointnet2"
    first: AbstractionConfig = AbstractionConfig(
        num_centres=512, balls=(BallConfig(radius=0.2, num_neighbours=32, widths=(64, 64, 128)),)
    )
    """From points to centres; its `num_centres` is the fewest points that a cloud may have."""
    second: AbstractionConfig = AbstractionConfig(
        num_centres=128, balls=(BallConfig(radius=0.4, num_neighbours=64, widths=(128, 128, 256)),)
    )
    """From those centres to fewer."""
    global_widths: Widths = (256, 512, 1024)
    """Channels of the layers over the centres that are left; the maximum over them is the global feature."""
    decoder: bool = False
    """Whether features are carried back to the points, as the paper's segmentation networks do."""
    propagation_widths: tuple[Widths, Widths, Widths] = ((256, 256), (256, 128), (128, 128, 128))
    """Channels of the decoder's layers, from the whole cloud to the points; the paper's part segmentation."""
    colours: bool = Field(default=False, json_schema_extra=ADDED_LATER)
    """Whether points bring their colours, into the first abstraction and the decoder's last step; not every
    set has colours."""

    @property
    def inputs(self) -> tuple[str, ...]:
        """Colours, where they are read."""
        return ("colours",) if self.colours else ()

    @model_validator(mode="after")
    def _check_centres(self) -> "PointNet2Config":
        if self.second.num_centres > self.first.num_centres:
            raise ValueError(
                f"{self.second.num_centres} centres cannot be picked from {self.first.num_centres}"
            )
        return self


class PointNet2(Backbone):
    """Tokens are the centres of a set abstraction, the third one's a whole cloud; `pooled` is their maximum.

    A decoder adds `propagation_3` to `propagation_1`, whose tokens are the centres once more and at last the
    points; their `pooled` is the global feature, that of the third abstraction. Heads read it there: the
    decoder is computed for features of points alone, and otherwise has no gradients.

    The order of points matters in two ways: sampling of centres starts at the first row, and of a ball with
    more points than `num_neighbours` the first rows are taken (see `geometry.ball_neighbours`).
    """

    def __init__(self, config: PointNet2Config) -> None:
        super().__init__()
        self.config, self.inputs = config, config.inputs
        first, second = (_width(abstraction) for abstraction in (config.first, config.second))
        self.widths = (first, second, config.global_widths[-1])
        self.num_features = config.global_widths[-1]
        self.min_points = config.first.num_centres
        self.stages = tuple(f"abstraction_{n + 1}" for n in range(NUM_ABSTRACTIONS))
        self.global_stages = self.stages[-1:]
        self.abstractions = nn.ModuleList(
            (
                SetAbstraction(self._num_known, config.first),
                SetAbstraction(first, config.second),
                GlobalAbstraction(second, config.global_widths),
            )
        )
        self.propagations = nn.ModuleList()
        if config.decoder:
            self._add_decoder(config.propagation_widths)

    @property
    def pooled_stage(self) -> str:
        """The third set abstraction, with a decoder or without."""
        return self.global_stages[0]

    @property
    def _num_known(self) -> int:
        """Channels that points bring besides where they are."""
        return 3 * self.config.colours

    def _add_decoder(self, widths: tuple[Widths, Widths, Widths]) -> None:
        coarse = self.num_features
        for skipped, layers in zip((*self.widths[-2::-1], 3 + self._num_known), widths, strict=True):
            self.propagations.append(FeaturePropagation(skipped, coarse, layers))
            coarse = layers[-1]
        names = tuple(f"propagation_{n}" for n in range(NUM_ABSTRACTIONS, 0, -1))
        self.stages += names
        self.widths += tuple(layers[-1] for layers in widths)
        self.point_stages = names[-1:]

    def compute(self, batch: PointBatch, stages: AbstractSet[str]) -> dict[str, Features]:
        """Features after each of `stages`; nothing is computed beyond the last of them."""
        num_steps = 1 + max(self.stages.index(stage) for stage in stages)
        levels = [_level_of(batch, self.config.colours)]
        for abstraction in self.abstractions[:num_steps]:
            levels.append(abstraction(levels[-1]))
        found = {stage: _features(level) for stage, level in zip(self.stages, levels[1:], strict=False)}
        level, levels[0] = levels.pop(), _told_where(levels[0])
        for stage, propagation in zip(self.stages[len(found) : num_steps], self.propagations, strict=False):
            level = propagation(levels.pop(), level)
            found[stage] = _features(level, found[self.global_stages[0]])
        return {stage: found[stage] for stage in stages}

    def stage_of(self, parameter: str) -> str:
        """The set abstraction or the propagation that it is in."""
        part, index, _ = parameter.split(".", 2)
        return self.stages[int(index) + (0 if part == "abstractions" else NUM_ABSTRACTIONS)]


def _width(config: AbstractionConfig) -> int:
    return sum(ball.widths[-1] for ball in config.balls)


def _level_of(batch: PointBatch, has_colours: bool) -> Level:
    """The points, perhaps with their colours, which are from -1/2 to 1/2."""
    places = batch.geometry(Places)
    if not has_colours:
        return Level(places, None)
    assert batch.colours is not None, "the surface has checked that they are there"
    return Level(places, batch.colours - 0.5)


def _told_where(points: Level) -> Level:
    """The points, with their coordinates before whatever features they have: what a decoder skips to."""
    own = [] if points.features is None else [points.features]
    return Level(points.places, torch.cat([points.places.positions, *own], dim=2))


def _features(level: Level, whole: Features | None = None) -> Features:
    """Features of a level, with the maximum over its tokens as `pooled`, or that of the whole cloud."""
    assert level.features is not None, "a level before any set abstraction has no features"
    pooled = level.features.amax(1) if whole is None else whole.pooled
    return Features(level.features, level.places.positions, pooled)
