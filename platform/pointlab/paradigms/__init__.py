"""The pretraining paradigms, independent of each other.

To add one: its module here, its configuration beside it, its test, and one entry in the table.
"""

from collections.abc import Callable
from typing import Annotated, Any

from pydantic import BeforeValidator, Field

from pointlab.backbones import Backbone
from pointlab.paradigms.act import Act, ActConfig
from pointlab.paradigms.act_autoencoder import ActAutoencoder, ActAutoencoderConfig
from pointlab.paradigms.base import Given, Paradigm, StepOutput, Trainable
from pointlab.paradigms.classifying import ClassifyingConfig
from pointlab.paradigms.contrastive import ContrastiveConfig, build_contrastive
from pointlab.paradigms.geometric import Geometric, GeometricConfig
from pointlab.paradigms.masked import Masked, MaskedConfig
from pointlab.paradigms.point_contrast import PointContrast, PointContrastConfig
from pointlab.paradigms.ppkt import Ppkt, PpktConfig
from pointlab.paradigms.recon import Recon, ReconParadigmConfig
from pointlab.paradigms.segmentation import Segmentation, SegmentationConfig
from pointlab.paradigms.supervised import Supervised, SupervisedConfig

PARADIGMS: dict[str, Callable[[Any, Backbone, Given], Paradigm]] = {
    "supervised": Supervised,
    "geometric": Geometric,
    "contrastive": build_contrastive,
    "point_contrast": PointContrast,
    "masked": Masked,
    "act_autoencoder": ActAutoencoder,
    "act": Act,
    "recon": Recon,
    "ppkt": Ppkt,
    "segmentation": Segmentation,
}


def _supervised_by_default(value: Any) -> Any:
    return {"kind": "supervised", **value} if isinstance(value, dict) else value


ParadigmConfig = Annotated[
    SupervisedConfig
    | GeometricConfig
    | ContrastiveConfig
    | PointContrastConfig
    | MaskedConfig
    | ActAutoencoderConfig
    | ActConfig
    | ReconParadigmConfig
    | PpktConfig
    | SegmentationConfig,
    Field(discriminator="kind"),
    BeforeValidator(_supervised_by_default),
]
"""Settings of a paradigm; of the supervised one where they do not name its `kind`."""


def build_paradigm(config: ParadigmConfig, backbone: Backbone, given: Given) -> Paradigm:
    """The paradigm that `config` names, around `backbone`."""
    return PARADIGMS[config.kind](config, backbone, given)


__all__ = [
    "PARADIGMS",
    "ActAutoencoderConfig",
    "ActConfig",
    "ClassifyingConfig",
    "ContrastiveConfig",
    "GeometricConfig",
    "Given",
    "MaskedConfig",
    "Paradigm",
    "ParadigmConfig",
    "PointContrastConfig",
    "PpktConfig",
    "ReconParadigmConfig",
    "SegmentationConfig",
    "StepOutput",
    "SupervisedConfig",
    "Trainable",
    "build_paradigm",
]
