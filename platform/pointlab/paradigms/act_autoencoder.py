"""ACT, stage I: an autoencoder of patches whose codes pass through a frozen transformer of images or words.

Dong et al., "Autoencoders as Cross-Modal Teachers: Can Pretrained 2D Image Transformers Help 3D
Representation Learning?", ICLR 2023, section 3.2. What it leaves is a teacher for stage II (`act.py`).
"""

from collections.abc import Iterable
from typing import ClassVar, Literal

from jaxtyping import Float
from pydantic import Field, NonNegativeInt, PositiveInt
from torch import Tensor, nn

from pointlab.backbones import Backbone, PatchEmbedding
from pointlab.backbones.patches import Patches
from pointlab.config import StrictModel
from pointlab.data.sample import PointBatch
from pointlab.geometry import chamfer_distance
from pointlab.objectives.autoencoder import Autoencoder, AutoencoderConfig
from pointlab.objectives.codes import cosine_between, divergence_from_even_use
from pointlab.objectives.prompting import ForeignTransformer
from pointlab.paradigms.base import Given, Paradigm, StepOutput, require_provider


class ScheduleConfig(StrictModel):
    """How the codes harden and spread, in steps and not in shares of a run; the defaults are the released
    code's.

    Its runs have 196,000 steps. Short ones want the same course in proportion.
    """

    first_temperature: float = Field(default=1.0, gt=0)
    last_temperature: float = Field(default=0.0625, gt=0)
    temperature_steps: PositiveInt = 100_000
    """Half a cosine from the first to the last temperature."""
    divergence_weight: float = Field(default=0.1, ge=0)
    divergence_delay: NonNegativeInt = 10_000
    """Steps without the divergence; half a cosine from 0 to its weight follows."""
    divergence_steps: PositiveInt = 100_000


class ActAutoencoderConfig(StrictModel):
    """Sizes, prompts and schedules of stage I; the foreign network is the experiment's `teacher`."""

    num_views: ClassVar[int] = 1
    kind: Literal["act_autoencoder"] = "act_autoencoder"
    autoencoder: AutoencoderConfig = AutoencoderConfig()
    schedule: ScheduleConfig = ScheduleConfig()


class ActAutoencoder(Paradigm):
    """A patch embedding as the backbone, the autoencoder around the frozen foreign network, and its
    schedules."""

    backbone: PatchEmbedding

    def __init__(self, config: ActAutoencoderConfig, backbone: Backbone, given: Given) -> None:
        """Take over `backbone`; `given.providers["teacher"]` is the foreign transformer."""
        super().__init__()
        assert isinstance(backbone, PatchEmbedding), "declared in compatibility.py"
        self.backbone, self.schedule = backbone, config.schedule
        self.foreign = require_provider(given, "teacher", ForeignTransformer)
        self.autoencoder = Autoencoder(
            config.autoencoder, backbone.width, backbone.config.group_size, self.foreign
        )
        self.before_step(0, 1)

    def frozen(self) -> Iterable[nn.Module]:
        """The foreign network: neither trained nor saved."""
        return (self.foreign,)

    def exported(self) -> dict[str, nn.Module]:
        """What stage II needs beside the foreign network, which is named by its hash."""
        return {"backbone": self.backbone, "autoencoder": self.autoencoder}

    def before_step(self, step: int, num_steps: int) -> None:  # noqa: ARG002
        """Temperature and weight of the divergence, by the step alone."""
        plan = self.schedule
        self.temperature = cosine_between(
            step, plan.first_temperature, plan.last_temperature, plan.temperature_steps
        )
        self.divergence_weight = cosine_between(
            step, 0.0, plan.divergence_weight, plan.divergence_steps, plan.divergence_delay
        )

    def forward(self, batch: PointBatch) -> StepOutput:
        """Chamfer distances (l1) of coarse and fine points, and the codes' divergence from even use.

        Codes are soft while training, and drawn hard in validation, as in the released code.
        """
        patches = self.backbone.group(batch)
        logits = self.autoencoder.logits(self.backbone.embed(patches), patches.centres)
        choice: Literal["soft", "hard"] = "soft" if self.training else "hard"
        latents = self.autoencoder.latents(logits, patches.centres, self.foreign, choice, self.temperature)
        coarse, fine = (_distance(points, patches) for points in self.autoencoder.decoder(latents))
        divergence = divergence_from_even_use(logits)
        loss = coarse + fine + self.divergence_weight * divergence
        metrics = {"loss": loss, "coarse": coarse, "fine": fine, "divergence": divergence}
        return StepOutput(loss, {name: value.detach() for name, value in metrics.items()})


def _distance(points: Float[Tensor, "batch groups rebuilt 3"], patches: Patches) -> Float[Tensor, ""]:
    return chamfer_distance(points.flatten(0, 1), patches.neighbourhoods.flatten(0, 1), norm="l1")
