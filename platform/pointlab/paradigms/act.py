"""ACT, stage II: masked point modelling onto the latents of a finished stage I. No labels.

Dong et al., "Autoencoders as Cross-Modal Teachers: Can Pretrained 2D Image Transformers Help 3D
Representation Learning?", ICLR 2023, section 3.3.
"""

from collections.abc import Iterable
from typing import Literal

import torch
import torch.nn.functional as F
from jaxtyping import Float
from pydantic import Field, PositiveInt
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from pointlab.backbones import Backbone, BackboneConfig, PatchTransformer
from pointlab.backbones.patch_transformer import PatchTransformerConfig
from pointlab.backbones.precision import wide
from pointlab.data.sample import PointBatch
from pointlab.errors import ConfigError
from pointlab.geometry import gather_points
from pointlab.objectives.decoders import DecoderConfig, MaskedDecoder
from pointlab.objectives.graphs import require_neighbours
from pointlab.objectives.hypersphere import unit_length
from pointlab.objectives.info_nce import nt_xent
from pointlab.objectives.masking import MaskConfig, draw_mask
from pointlab.objectives.targets import Latents
from pointlab.paradigms.base import Given, Paradigm, ParadigmSettings, StepOutput, require_provider

Loss = Literal["cosine", "l2", "smooth_l1", "nt_xent"]
TEMPERATURE = 0.07
"""Of `nt_xent`, as in the released code."""


class ActMaskConfig(MaskConfig):
    """More is hidden than where points are rebuilt."""

    ratio: float = Field(default=0.8, gt=0, lt=1)
    """Share of the patches, rounded down; the paper's."""


class ActDecoderConfig(DecoderConfig):
    """A decoder half as deep as where points are rebuilt."""

    depth: PositiveInt = 2  # the paper's


class ActConfig(ParadigmSettings):
    """What is hidden, how it is predicted, and how the teacher speaks; stage I is the experiment's
    `latents`.

    Of the released code's options these are left out: its Barlow Twins loss, the convolution or identity in
    place of the linear head, and a second loss on the class token, which its configurations leave off.
    """

    kind: Literal["act"] = "act"
    mask: ActMaskConfig = ActMaskConfig()
    decoder: ActDecoderConfig = ActDecoderConfig()
    loss: Loss = "cosine"
    """cosine: 1 - cos, the paper's; the others are options of the released code."""
    teacher: Literal["steady", "released"] = "steady"
    """steady: the likeliest code, in eval mode. released: as the released code has it, codes are drawn, and
    the teacher stays in training mode: its BatchNorm takes the batch's moments, and prompts are dropped
    out."""

    def require_fitting(self, backbone: BackboneConfig) -> None:
        """ConfigError where too few patches would be hidden, stage I has no graph of so few, or heads cannot
        share the width."""
        assert isinstance(backbone, PatchTransformerConfig), "declared in compatibility.py"
        num_hidden = self.mask.num_hidden(backbone.num_groups)
        if self.loss == "nt_xent" and num_hidden < 2:
            raise ConfigError(
                f"paradigm.loss is nt_xent, and paradigm.mask.ratio {self.mask.ratio} hides one of"
                f" {backbone.num_groups} patches.",
                expected="two hidden patches at least: it tells a latent from those of the cloud's others",
                remedy="raise paradigm.mask.ratio or backbone.num_groups, or choose another loss",
            )
        require_neighbours(backbone.num_groups)
        self.decoder.require_width(backbone.width)


class Act(Paradigm):
    """A patch transformer with its class token, if there is one, a decoder and a linear head."""

    backbone: PatchTransformer

    def __init__(self, config: ActConfig, backbone: Backbone, given: Given) -> None:
        """Take over `backbone`; `given.providers["latents"]` is the finished stage I.

        Raises ConfigError as `require_fitting` does, and where stage I groups clouds in another way.
        """
        super().__init__()
        assert isinstance(backbone, PatchTransformer), "declared in compatibility.py"
        config.require_fitting(backbone.config)
        self.config, self.backbone = config, backbone
        self.latents = require_provider(given, "latents", Latents, "a finished stage I")
        _require_equal_patches(backbone, self.latents)
        self.decoder = MaskedDecoder(config.decoder, backbone.width)
        self.to_latents = nn.Linear(backbone.width, self.latents.width)
        if config.teacher == "released":
            _keep_statistics(self.latents)

    def frozen(self) -> Iterable[nn.Module]:
        """Stage I as a whole."""
        return (self.latents,)

    def exported(self) -> dict[str, nn.Module]:
        """The backbone, and beside it what predicts the latents of hidden patches."""
        return {"backbone": self.backbone, "decoder": self.decoder, "to_latents": self.to_latents}

    def train(self, mode: bool = True) -> "Act":
        """Training mode for the student; for the teacher only where `teacher` is released."""
        super().train(mode)
        if self.config.teacher == "released":
            self.latents.train(mode)
            self.latents.foreign.eval()
        return self

    def forward(self, batch: PointBatch) -> StepOutput:
        """How far what is predicted of hidden patches is from their latents in the whole cloud.

        Told beside: the cosine of both, and `cosine_of_mean`, that of the batch's mean latent with each. What
        is no better has learned nothing that tells patches apart.
        """
        patches = self.backbone.group(batch)
        mask = draw_mask(patches.centres, self.config.mask)
        visible, hidden = patches.at(mask.visible), patches.at(mask.hidden)
        latent = self.backbone.encode(self.backbone.embed(visible, hidden), visible.centres)
        predicted = wide(self.to_latents(self.decoder(latent, visible.centres, hidden.centres)))
        choice: Literal["likeliest", "hard"] = "hard" if self.config.teacher == "released" else "likeliest"
        target = gather_points(wide(self.latents(patches, choice)), mask.hidden)
        loss = distance_to(target, predicted, self.config.loss)
        told = {"cosine": predicted.detach(), "cosine_of_mean": target.mean((0, 1), keepdim=True)}
        return StepOutput(
            loss, {name: F.cosine_similarity(each, target, dim=2).mean() for name, each in told.items()}
        )


def distance_to(
    target: Float[Tensor, "batch hidden width"],
    predicted: Float[Tensor, "batch hidden width"],
    kind: Loss,
) -> Float[Tensor, ""]:
    """The mean over hidden patches of 1 - cos, or over all entries of the squared or smooth l1 difference.

    nt_xent: a patch's latent is to be told from those of the cloud's other hidden patches; the mean over
    clouds, divided by the number of hidden patches once more than a mean, as in the released code.
    """
    if kind == "cosine":
        return 1 - F.cosine_similarity(predicted, target, dim=2).mean()
    if kind == "nt_xent":
        pairs = torch.stack([unit_length(predicted), unit_length(target)], dim=2)
        losses = [nt_xent(cloud, cloud, 0, TEMPERATURE).loss for cloud in pairs]
        return torch.stack(losses).mean() / target.shape[1]
    distance = F.mse_loss if kind == "l2" else F.smooth_l1_loss
    return distance(predicted, target)


def _require_equal_patches(backbone: PatchTransformer, latents: Latents) -> None:
    """The teacher gets the student's patches, so both must be made alike."""
    mine, its = backbone.config, latents.embedding.config
    differing = [
        f"{name} is {getattr(mine, name)} here and {getattr(its, name)} there"
        for name in ("num_groups", "group_size", "skip_near_origin")
        if getattr(mine, name) != getattr(its, name)
    ]
    if differing:
        raise ConfigError(
            f"Stage I groups clouds in another way than this backbone: {', '.join(differing)}.",
            expected="equal patches: the teacher sees those of the student",
            remedy="set the same of backbone and latents.backbone",
        )


def _keep_statistics(module: nn.Module) -> None:
    """In training mode BatchNorm is to use the batch's moments and to leave its running ones as they are."""
    for layer in module.modules():
        if isinstance(layer, _BatchNorm):
            layer.track_running_stats = False
