"""A tiny run of each paradigm that takes patches apart, with everything in it that is drawn or scheduled."""

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
    ReconParadigmConfig,
    StepOutput,
    build_paradigm,
)
from pointlab.paradigms.act_autoencoder import ScheduleConfig
from pointlab.paradigms.recon import Recon

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
}


class Shown(Recon):
    """The clouds of a set without pictures, two of three beside a picture that follows from their ids."""

    def forward(self, batch: PointBatch) -> StepOutput:
        numbers = torch.where(batch.ids % 3 > 0, batch.ids % 8, -1)
        pictures = (batch.ids.view(-1, 1) + 9 * torch.arange(48)).remainder(256).view(-1, 4, 4, 3)
        seen = replace(batch, picture_numbers=numbers, pictures=pictures.to(torch.uint8))
        return super().forward(seen)


def built(case: str) -> Paradigm:
    """The paradigm of this case, always with the same weights."""
    torch.manual_seed(0)
    config, backbone = CASES[case]
    if isinstance(config, ReconParadigmConfig):
        paradigm: Paradigm = Shown(config, build_backbone(backbone), with_providers(config))
        paradigm.inputs = ()
    else:
        paradigm = build_paradigm(config, build_backbone(backbone), with_providers())
    paradigm.freeze()
    return paradigm
