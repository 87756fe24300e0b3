"""What a head on a frozen backbone may read, as axes of its grid: stages, and how tokens are pooled.

Which stage of a network knows the classes best depends on what it was pretrained for, and need not be the
last one.
"""

from typing import Literal

import torch
from pydantic import Field, field_validator

from pointlab.backbones import Backbone, BackboneConfig, build_backbone
from pointlab.config import ADDED_LATER, StrictModel, require_different
from pointlab.errors import ConfigError
from pointlab.evaluation import FeatureName
from pointlab.evaluation.reading import Pooling, feature_name


class ReadGrid(StrictModel):
    """Every stage with every pooling; by default the pooled feature that heads read in training."""

    stages: tuple[str, ...] | Literal["all"] | None = Field(default=None, json_schema_extra=ADDED_LATER)
    """Names of stages, such as block_2; all: every one up to that which heads read; null: that one alone."""
    poolings: tuple[Pooling, ...] = Field(default=("pooled",), min_length=1, json_schema_extra=ADDED_LATER)
    """pooled: as the backbone itself pools tokens; or their maximum, their mean, or both side by side."""
    _poolings_are_different = field_validator("poolings")(require_different)

    @field_validator("stages")
    @classmethod
    def _are_stages(cls, stages: tuple[str, ...] | str | None) -> tuple[str, ...] | str | None:
        if isinstance(stages, tuple):
            if not stages:
                raise ValueError("expected one stage at least, or null for the one that heads read")
            require_different(stages)
        return stages

    @property
    def reads_as_trained(self) -> bool:
        """Whether there is the pooled feature alone."""
        return self.stages is None and self.poolings == ("pooled",)

    @property
    def stamp(self) -> str:
        """What a table may compare: a feature that was chosen is another protocol than the usual one."""
        return "" if self.reads_as_trained else "/chosen-feature"

    def features(self, backbone: Backbone) -> tuple[FeatureName, ...]:
        """Names of all of them, shallow stages first; ConfigError for a stage that there is not."""
        stages = self._stages(backbone)
        if unknown := [stage for stage in stages if stage not in backbone.stages]:
            raise ConfigError(
                f"{', '.join(unknown)} is no stage of this {type(backbone).__name__}.",
                expected=f"some of {', '.join(backbone.stages)}",
            )
        ordered = sorted(stages, key=backbone.stages.index)
        return tuple(feature_name(backbone, stage, pooling) for stage in ordered for pooling in self.poolings)

    def _stages(self, backbone: Backbone) -> tuple[str, ...]:
        if self.stages is None:
            return (backbone.pooled_stage,)
        if self.stages == "all":
            return backbone.stages[: 1 + backbone.stages.index(backbone.pooled_stage)]
        return self.stages


def require_features(config: BackboneConfig, grid: ReadGrid) -> None:
    """ValueError where a backbone of this architecture lacks a stage; no weight is made to tell."""
    if isinstance(grid.stages, tuple):
        with torch.device("meta"):
            backbone = build_backbone(config)
        try:
            grid.features(backbone)
        except ConfigError as error:
            raise ValueError(str(error)) from error
