"""A tiny run of each paradigm that takes patches apart, of the one that pixels teach, and of a segmentation,
with everything in it that is drawn or scheduled."""

from dataclasses import replace

import torch

from backbones.tiny import TINY
from paradigms.providers import SMALL, with_providers
from pointlab.backbones import BackboneConfig, build_backbone
from pointlab.data.sample import PointBatch
from pointlab.paradigms import (
    ActAutoencoderConfig,
    ActConfig,
    MaskedConfig,
    Paradigm,
    ParadigmConfig,
    PpktConfig,
    ReconParadigmConfig,
    SegmentationConfig,
    StepOutput,
    build_paradigm,
)
from pointlab.paradigms.act_autoencoder import ScheduleConfig
from pointlab.paradigms.ppkt import Ppkt
from pointlab.paradigms.recon import Recon
from pointlab.paradigms.segmentation import Segmentation

QUICK = {"temperature_steps": 6, "divergence_delay": 1, "divergence_steps": 4}
"""Schedules that move in every step of a tiny run."""
STUDENT, EMBEDDING = TINY["patch_transformer"], TINY["patch_embedding"]
STAGE_ONE = ActAutoencoderConfig(autoencoder=SMALL, schedule=ScheduleConfig.model_validate(QUICK))
ALL_OF_RECON = ReconParadigmConfig.model_validate(
    {
        "text": "class_names",
        "templates": "recon",
        "contrast_weight": 0.5,
        "image_augmentation": {"shift": 1},
    }
)
CASES: dict[str, tuple[ParadigmConfig, BackboneConfig]] = {
    "masked": (MaskedConfig(), STUDENT),
    "act": (ActConfig(teacher="released"), STUDENT),  # which draws the most, and normalises by the batch
    "act-autoencoder": (STAGE_ONE, EMBEDDING),
    "recon": (ALL_OF_RECON, TINY["recon"]),
    "recon-points": (ReconParadigmConfig(image_weight=0, text_weight=0), TINY["recon"]),  # all queries rest
    "ppkt": (
        PpktConfig.model_validate({"picture_augmentation": {}, "num_pairs": 100, "direction": "symmetric"}),
        TINY["pointnet"],
    ),
    "segmentation": (SegmentationConfig(head="mlp"), TINY["sparse_unet"]),
}


class Shown(Recon):
    """The clouds of a set without pictures, two of three beside a picture that follows from their ids."""

    def forward(self, batch: PointBatch) -> StepOutput:
        return super().forward(beside_pictures(batch))


class ShownPixels(Ppkt):
    """Likewise, with pixels that follow from the points."""

    def forward(self, batch: PointBatch) -> StepOutput:
        pixels = torch.where(batch.points[..., 2:] > 0, batch.points[..., :2].clamp(0, 3), -1.0)
        return super().forward(replace(beside_pictures(batch), pixels=pixels))


class Labelled(Segmentation):
    """Likewise, with a class or none for each point that follows from where it is."""

    def forward(self, batch: PointBatch) -> StepOutput:
        labels = (batch.points.abs() * 10).sum(2).long().remainder(5) - 1
        return super().forward(replace(batch, point_labels=labels))


def beside_pictures(batch: PointBatch) -> PointBatch:
    """The batch with a picture of two of three clouds."""
    numbers = torch.where(batch.ids % 3 > 0, batch.ids % 8, -1)
    pictures = (batch.ids.view(-1, 1) + 9 * torch.arange(48)).remainder(256).view(-1, 4, 4, 3)
    return replace(batch, picture_numbers=numbers, pictures=pictures.to(torch.uint8))


def built(case: str) -> Paradigm:
    """The paradigm of this case, always with the same weights."""
    torch.manual_seed(0)
    config, backbone = CASES[case]
    if isinstance(config, ReconParadigmConfig):
        paradigm: Paradigm = Shown(config, build_backbone(backbone), with_providers(config))
        paradigm.inputs = ()
    elif isinstance(config, PpktConfig):
        paradigm = ShownPixels(config, build_backbone(backbone), with_providers(config))
        paradigm.inputs, paradigm.picture_crop = (), None
    elif isinstance(config, SegmentationConfig):
        paradigm = Labelled(config, build_backbone(backbone), with_providers())
        paradigm.inputs = ()
    else:
        paradigm = build_paradigm(config, build_backbone(backbone), with_providers())
    paradigm.freeze()
    return paradigm
