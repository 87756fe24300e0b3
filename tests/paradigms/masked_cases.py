"""A tiny run of each paradigm that takes patches apart, with everything in it that is drawn or scheduled."""

import torch

from backbones.tiny import TINY
from paradigms.providers import SMALL, with_providers
from pointlab.backbones import BackboneConfig, build_backbone
from pointlab.paradigms import (
    ActAutoencoderConfig,
    ActConfig,
    MaskedConfig,
    Paradigm,
    ParadigmConfig,
    build_paradigm,
)
from pointlab.paradigms.act_autoencoder import ScheduleConfig

QUICK = {"temperature_steps": 6, "divergence_delay": 1, "divergence_steps": 4}
"""Schedules that move in every step of a tiny run."""
STUDENT, EMBEDDING = TINY["patch_transformer"], TINY["patch_embedding"]
STAGE_ONE = ActAutoencoderConfig(autoencoder=SMALL, schedule=ScheduleConfig.model_validate(QUICK))
CASES: dict[str, tuple[ParadigmConfig, BackboneConfig]] = {
    "masked": (MaskedConfig(), STUDENT),
    "act": (ActConfig(teacher="released"), STUDENT),  # which draws the most, and normalises by the batch
    "act-autoencoder": (STAGE_ONE, EMBEDDING),
}


def built(case: str) -> Paradigm:
    """The paradigm of this case, always with the same weights."""
    torch.manual_seed(0)
    config, backbone = CASES[case]
    paradigm = build_paradigm(config, build_backbone(backbone), with_providers())
    paradigm.freeze()
    return paradigm
