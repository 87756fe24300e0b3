"""The pretraining paradigms, independent of each other.

To add one: its module here, its configuration beside it, its test, and one entry in the table.
"""

from collections.abc import Callable
from typing import Annotated, Any

from pydantic import BeforeValidator, Field

from pointlab.backbones import Backbone
from pointlab.paradigms.base import Given, Paradigm, StepOutput
from pointlab.paradigms.classifying import ClassifyingConfig
from pointlab.paradigms.contrastive import ContrastiveConfig, build_contrastive
from pointlab.paradigms.geometric import Geometric, GeometricConfig
from pointlab.paradigms.point_contrast import PointContrast, PointContrastConfig
from pointlab.paradigms.supervised import Supervised, SupervisedConfig

PARADIGMS: dict[str, Callable[[Any, Backbone, Given], Paradigm]] = {
    "supervised": Supervised,
    "geometric": Geometric,
    "contrastive": build_contrastive,
    "point_contrast": PointContrast,
}


def _supervised_by_default(value: Any) -> Any:
    return {"kind": "supervised", **value} if isinstance(value, dict) else value


ParadigmConfig = Annotated[
    SupervisedConfig | GeometricConfig | ContrastiveConfig | PointContrastConfig,
    Field(discriminator="kind"),
    BeforeValidator(_supervised_by_default),
]
"""Settings of a paradigm; of the supervised one where they do not name its `kind`."""


def build_paradigm(config: ParadigmConfig, backbone: Backbone, given: Given) -> Paradigm:
    """The paradigm that `config` names, around `backbone`."""
    return PARADIGMS[config.kind](config, backbone, given)


__all__ = [
    "PARADIGMS",
    "ClassifyingConfig",
    "ContrastiveConfig",
    "GeometricConfig",
    "Given",
    "Paradigm",
    "ParadigmConfig",
    "PointContrastConfig",
    "StepOutput",
    "SupervisedConfig",
    "build_paradigm",
]
