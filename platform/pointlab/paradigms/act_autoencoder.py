"""ACT, stage I: an autoencoder of patches whose codes pass through a frozen transformer of images or words.

Dong et al., "Autoencoders as Cross-Modal Teachers: Can Pretrained 2D Image Transformers Help 3D
Representation Learning?", ICLR 2023, section 3.2. What it leaves is a teacher for stage II (`act.py`).
"""

import logging
from collections.abc import Iterable
from typing import Literal

import torch
from jaxtyping import Float
from pydantic import Field, NonNegativeInt, PositiveInt, model_validator
from torch import Tensor, nn

from pointlab import distributed
from pointlab.backbones import Backbone, BackboneConfig, PatchEmbedding
from pointlab.backbones.patch_embedding import PatchEmbeddingConfig
from pointlab.backbones.patches import Patches
from pointlab.config import StrictModel
from pointlab.data.sample import PointBatch
from pointlab.geometry import chamfer_distance
from pointlab.objectives.autoencoder import Autoencoder, AutoencoderConfig
from pointlab.objectives.codes import codes_used, cosine_between, divergence_from_even_use
from pointlab.objectives.graphs import nearest_centres
from pointlab.objectives.prompting import ForeignTransformer
from pointlab.paradigms.base import (
    Given,
    Paradigm,
    ParadigmSettings,
    RebuiltPoints,
    StepOutput,
    require_provider,
)

logger = logging.getLogger(__name__)


class ScheduleConfig(StrictModel):
    """How the codes harden and spread, in steps and not in shares of a run; the defaults are the released
    code's.

    Its runs have 197,000 steps. Short ones want the same course in proportion.
    """

    first_temperature: float = Field(default=1.0, gt=0)
    last_temperature: float = Field(default=0.0625, gt=0)
    temperature_steps: PositiveInt = 100_000
    """Half a cosine from the first to the last temperature."""
    divergence_weight: float = Field(default=0.1, ge=0)
    divergence_delay: NonNegativeInt = 10_000
    """Steps without the divergence; half a cosine from 0 to its weight follows."""
    divergence_steps: PositiveInt = 100_000

    @model_validator(mode="after")
    def _codes_harden(self) -> "ScheduleConfig":
        if self.last_temperature > self.first_temperature:
            raise ValueError(
                f"last_temperature {self.last_temperature:g} exceeds first_temperature"
                f" {self.first_temperature:g}: codes are to harden, so lower it"
            )
        return self

    @property
    def num_steps(self) -> int:
        """How many steps the whole course takes."""
        return max(self.temperature_steps, self.divergence_delay + self.divergence_steps)


class ActAutoencoderConfig(ParadigmSettings):
    """Sizes, prompts and schedules of stage I; the foreign network is the experiment's `teacher`."""

    kind: Literal["act_autoencoder"] = "act_autoencoder"
    autoencoder: AutoencoderConfig = AutoencoderConfig()
    schedule: ScheduleConfig = ScheduleConfig()

    def require_fitting(self, backbone: BackboneConfig) -> None:
        """ConfigError where graphs cannot join, or folding cannot make, the patches of this backbone."""
        assert isinstance(backbone, PatchEmbeddingConfig), "declared in compatibility.py"
        self.autoencoder.require_patches(backbone.width, backbone.num_groups, backbone.group_size)


class ActAutoencoder(Paradigm):
    """A patch embedding as the backbone, the autoencoder around the frozen foreign network, and its
    schedules."""

    backbone: PatchEmbedding

    def __init__(self, config: ActAutoencoderConfig, backbone: Backbone, given: Given) -> None:
        """Take over `backbone`; `given.providers["teacher"]` is the foreign transformer.

        Raises ConfigError as `require_fitting` does.
        """
        super().__init__()
        assert isinstance(backbone, PatchEmbedding), "declared in compatibility.py"
        config.require_fitting(backbone.config)
        self.backbone, self.schedule = backbone, config.schedule
        self.foreign = require_provider(
            given, "teacher", ForeignTransformer, "a frozen transformer of pictures or words"
        )
        self.autoencoder = Autoencoder(
            config.autoencoder, backbone.width, backbone.config.group_size, self.foreign
        )
        self._move_schedules(0)

    def frozen(self) -> Iterable[nn.Module]:
        """The foreign network: neither trained nor saved."""
        return (self.foreign,)

    def exported(self) -> dict[str, nn.Module]:
        """What stage II needs beside the foreign network, which is named by its hash."""
        return {"backbone": self.backbone, "autoencoder": self.autoencoder}

    def before_step(self, step: int, num_steps: int) -> None:
        """Temperature and weight of the divergence, by the step alone; a warning if the run is too short."""
        self._move_schedules(step)
        if step == 0 and num_steps < self.schedule.num_steps and distributed.rank() == 0:
            logger.warning(
                "The run ends after %s steps, before the schedules of its codes, which take %s: codes stay"
                " soft or unevenly used. Set paradigm.schedule's temperature_steps, divergence_delay and"
                " divergence_steps in proportion.",
                f"{num_steps:,}",
                f"{self.schedule.num_steps:,}",
            )

    def _move_schedules(self, step: int) -> None:
        plan = self.schedule
        self.temperature = cosine_between(
            step, plan.first_temperature, plan.last_temperature, plan.temperature_steps
        )
        self.divergence_weight = cosine_between(
            step, 0.0, plan.divergence_weight, plan.divergence_steps, plan.divergence_delay
        )

    def forward(self, batch: PointBatch) -> StepOutput:
        """Chamfer distances (l1) of coarse and fine points; in training also the divergence from even use.

        Codes are soft while training, and drawn hard in validation, as in the released code. Its loss is then
        that of the points alone: the weight of the divergence moves, and would make later steps look worse.
        """
        patches = self.backbone.group(batch)
        logits, points = self._rebuilt(patches)
        coarse, fine = (_distance(each, patches) for each in points)
        divergence, loss = divergence_from_even_use(logits), coarse + fine
        metrics = {
            "coarse": coarse.detach(),
            "fine": fine.detach(),
            "divergence": divergence.detach(),
            "codes_used": codes_used(logits.detach()),
            "temperature": loss.new_tensor(self.temperature),
            "divergence_weight": loss.new_tensor(self.divergence_weight),
        }
        if self.training:
            loss = loss + self.divergence_weight * divergence
        return StepOutput(loss, metrics)

    def rebuild(self, batch: PointBatch) -> RebuiltPoints:
        """The fine points that it makes of the codes of all patches, moved to where these are."""
        patches = self.backbone.group(batch)
        _, (_, fine) = self._rebuilt(patches)
        nothing = torch.zeros(batch.points.shape[:2], dtype=torch.bool, device=fine.device)
        return RebuiltPoints(nothing, (fine + patches.centres[:, :, None]).flatten(1, 2))

    def _rebuilt(
        self, patches: Patches
    ) -> tuple[
        Float[Tensor, "batch groups codes"],
        tuple[Float[Tensor, "batch groups coarse 3"], Float[Tensor, "batch groups fine 3"]],
    ]:
        """How well each code suits each patch; coarse and fine points, relative to the patches' centres."""
        centres, neighbours = patches.centres, nearest_centres(patches.centres)
        logits = self.autoencoder.logits(self.backbone.embed(patches), centres, neighbours)
        choice: Literal["soft", "hard"] = "soft" if self.training else "hard"
        latents = self.autoencoder.latents(
            logits, centres, self.foreign, choice, self.temperature, neighbours=neighbours
        )
        return logits, self.autoencoder.decoder(latents)


def _distance(points: Float[Tensor, "batch groups rebuilt 3"], patches: Patches) -> Float[Tensor, ""]:
    return chamfer_distance(points.flatten(0, 1), patches.neighbourhoods.flatten(0, 1), norm="l1")
