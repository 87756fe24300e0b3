"""The one surface of all backbones: what goes in, what comes out, and how a network is taken apart.

A training loop, a probe, a layer-wise learning rate and an analysis all speak to this class only, so that
a new backbone needs three things: the attributes below, `compute` and `stage_of`.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor, nn

from pointlab.config import StrictModel
from pointlab.data.sample import PointBatch
from pointlab.errors import ConfigError, DataError
from pointlab.geometry import interpolate_features

NamedParameters = list[tuple[str, nn.Parameter]]


class BackboneSettings(StrictModel):
    """What the settings of all backbones have."""

    @property
    def inputs(self) -> tuple[str, ...]:
        """Optional arrays of a batch that the network reads beside points, such as `colours`."""
        return ()


@dataclass(frozen=True)
class Features:
    """What a backbone says of a batch of clouds at one stage.

    `tokens` describe patches or points, `positions` say where each of them sits in the frame of the input,
    and `pooled` is the global feature, the one that a head reads. At a stage whose tokens are the points of
    the batch themselves, `positions` is its `points`, and rows past its `counts` hold zeros.
    `penalty` is what the network's paper adds to any loss, if anything.
    """

    tokens: Float[Tensor, "batch tokens width"]
    positions: Float[Tensor, "batch tokens 3"]
    pooled: Float[Tensor, "batch features"]
    penalty: Float[Tensor, ""] | None = None


@dataclass(frozen=True)
class PointFeatures:
    """A feature of every point of a batch, zeros in padded rows, and the `penalty` of `Features`."""

    values: Float[Tensor, "batch points channels"]
    penalty: Float[Tensor, ""] | None = None


class Backbone(nn.Module, ABC):
    """A network from clouds to features, made of named stages. Subclasses set the attributes below."""

    stages: tuple[str, ...]
    """Names of the stages, from shallow to deep."""
    widths: tuple[int, ...]
    """Channels of the tokens after each stage."""
    num_features: int
    """Channels of `pooled` at the `pooled_stage`."""
    min_points: int
    """The fewest points that a cloud may have."""
    global_stages: tuple[str, ...] = ()
    """Stages with one token for a whole cloud, which says nothing of a place."""
    point_stages: tuple[str, ...] = ()
    """Stages whose tokens are the points of the batch, row by row."""
    inputs: tuple[str, ...] = ()
    """Optional arrays that it reads of a batch beside points: those that its settings name."""

    @property
    def pooled_stage(self) -> str:
        """The stage whose `pooled` heads read; what lies beyond, such as a decoder, is for points alone."""
        return self.stages[-1]

    @property
    def width(self) -> int:
        """Channels of the tokens at the `pooled_stage`."""
        return self.width_of(self.pooled_stage)

    @property
    def local_stages(self) -> tuple[str, ...]:
        """Stages whose tokens describe places within the cloud."""
        return tuple(stage for stage in self.stages if stage not in self.global_stages)

    def width_of(self, stage: str) -> int:
        """Channels of the tokens after `stage`."""
        return self.widths[self.stages.index(stage)]

    def forward(self, batch: PointBatch) -> Features:
        """Features at the `pooled_stage`.

        Raises DataError where a cloud has fewer than `min_points` points, or the batch lacks one of `inputs`.
        """
        return self.intermediates(batch, [self.pooled_stage])[self.pooled_stage]

    def intermediates(self, batch: PointBatch, stages: Sequence[str]) -> dict[str, Features]:
        """Features after each of `stages`, from one pass; without any stage there is none.

        Raises ConfigError for an unknown stage, and DataError as `forward` does.
        """
        self._check_stages(stages)
        self._check_counts(batch)
        self._check_inputs(batch)
        return self.compute(batch, frozenset(stages)) if stages else {}

    def svm_features(self, batch: PointBatch) -> Float[Tensor, "batch features"]:
        """What a linear SVM on the frozen network reads: `pooled`, unless its paper reads something else."""
        return self(batch).pooled  # type: ignore[no-any-return]

    @property
    def point_width(self) -> int:
        """Channels of `point_features`."""
        return self.width_of(self.local_stages[-1])

    def point_features(self, batch: PointBatch) -> PointFeatures:
        """A feature of every point: the tokens of the last stage that has places; DataError as `forward`.

        Where tokens are not points, each point gets the mean of the three nearest, weighted by inverse
        squared distance (PointNet++, Qi et al., NeurIPS 2017, section 3.4).
        """
        stage = self.local_stages[-1]
        found = self.intermediates(batch, [stage])[stage]
        values = found.tokens
        if stage not in self.point_stages:
            values = interpolate_features(batch.points, found.positions, values, batch.counts)
        return PointFeatures(values, found.penalty)

    @abstractmethod
    def compute(self, batch: PointBatch, stages: AbstractSet[str]) -> dict[str, Features]:
        """Features after each of `stages`, one at least, which exist, for a batch that is large enough."""

    @abstractmethod
    def stage_of(self, parameter: str) -> str:
        """Name of the stage that owns the parameter of this name; what all stages share is the first's."""

    def parameters_by_depth(self) -> list[tuple[str, NamedParameters]]:
        """Every stage, from shallow to deep, with the named parameters it owns; each parameter once."""
        by_stage: dict[str, NamedParameters] = {stage: [] for stage in self.stages}
        for name, parameter in self.named_parameters():
            by_stage[self.stage_of(name)].append((name, parameter))
        return list(by_stage.items())

    def class_parameters(self) -> list[nn.Parameter]:
        """What speaks of the class of a cloud and of nothing else, such as a class token; by default none."""
        return []

    def _check_stages(self, stages: Sequence[str]) -> None:
        unknown = [stage for stage in stages if stage not in self.stages]
        if unknown:
            raise ConfigError(
                f"{type(self).__name__} has no stage {', '.join(map(repr, unknown))}.",
                expected=f"some of {', '.join(self.stages)}",
            )

    def _check_counts(self, batch: PointBatch) -> None:
        fewest = int(batch.counts.min())
        if fewest < self.min_points:
            raise DataError(
                f"The smallest cloud of the batch has {fewest} points.",
                expected=f"at least {self.min_points} points for this {type(self).__name__}",
                remedy="sample more points per cloud, raise augmentation.crop or leave out"
                " augmentation.cuboid_drop where they cut clouds down, or configure a backbone that takes"
                " fewer",
            )

    def _check_inputs(self, batch: PointBatch) -> None:
        missing = [name for name in self.inputs if getattr(batch, name) is None]
        if missing:
            raise DataError(
                f"The batch has no {' and no '.join(missing)}.",
                expected=f"{' and '.join(missing)}, which this {type(self).__name__} reads beside points",
                remedy=f"take a set that has them, or set {' and '.join(missing)} of the backbone to false",
            )
