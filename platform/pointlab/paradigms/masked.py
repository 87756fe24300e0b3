"""Masked point modelling: most patches are hidden, and their points are rebuilt from the visible ones. No
labels.

Point-MAE: Pang et al., "Masked Autoencoders for Point Cloud Self-supervised Learning", ECCV 2022.
"""

from typing import Literal

from jaxtyping import Float
from torch import Tensor, nn

from pointlab.backbones import Backbone, BackboneConfig, PatchTransformer
from pointlab.backbones.patch_transformer import PatchTransformerConfig
from pointlab.data.sample import PointBatch
from pointlab.geometry import chamfer_distance
from pointlab.objectives.decoders import DecoderConfig, MaskedDecoder
from pointlab.objectives.masking import MaskConfig, draw_mask
from pointlab.paradigms.base import Given, Paradigm, ParadigmSettings, StepOutput


class MaskedConfig(ParadigmSettings):
    """What is hidden, and how it is rebuilt."""

    kind: Literal["masked"] = "masked"
    mask: MaskConfig = MaskConfig()
    decoder: DecoderConfig = DecoderConfig()
    distance: Literal["l2", "l1"] = "l2"
    """The Chamfer distance; Point-MAE's and ReCon's is l2."""
    embed: Literal["all", "visible"] = "all"
    """all: the embedder's BatchNorm sees hidden patches as well, as in the papers; visible: it does not,
    which is faster and changes results."""

    def require_fitting(self, backbone: BackboneConfig) -> None:
        """ConfigError where no patch would be hidden, or heads cannot share the width."""
        assert isinstance(backbone, PatchTransformerConfig), "declared in compatibility.py"
        self.mask.num_hidden(backbone.num_groups)
        self.decoder.require_width(backbone.width)


class Masked(Paradigm):
    """A patch transformer that encodes the visible patches, and a decoder.

    The class token takes no part, as in Point-MAE: a backbone that has one keeps it as it began, and it is
    trained when the backbone is fine-tuned.
    """

    backbone: PatchTransformer

    def __init__(self, config: MaskedConfig, backbone: Backbone, given: Given) -> None:  # noqa: ARG002
        """Take over `backbone`; decoder and head are new. Raises ConfigError as `require_fitting` does."""
        super().__init__()
        assert isinstance(backbone, PatchTransformer), "declared in compatibility.py"
        config.require_fitting(backbone.config)
        self.config, self.backbone = config, backbone
        self.decoder = MaskedDecoder(config.decoder, backbone.width)
        self.to_points = nn.Linear(backbone.width, 3 * backbone.config.group_size)

    def exported(self) -> dict[str, nn.Module]:
        """The backbone, and beside it what rebuilds hidden patches: the released layout has all three."""
        return {"backbone": self.backbone, "decoder": self.decoder, "to_points": self.to_points}

    def forward(self, batch: PointBatch) -> StepOutput:
        """The Chamfer distance of hidden patches, relative to their centres, to what is rebuilt of them."""
        patches = self.backbone.group(batch)
        mask = draw_mask(patches.centres, self.config.mask)
        seen, unseen = patches.at(mask.visible), patches.at(mask.hidden)
        tokens = self.backbone.embed(seen, unseen if self.config.embed == "all" else None)
        latent = self.backbone.encode(tokens, seen.centres, class_token=False)
        rebuilt = self.to_points(self.decoder(latent, seen.centres, unseen.centres))
        target = unseen.neighbourhoods.flatten(0, 1)
        loss = chamfer_distance(_as_clouds(rebuilt), target, norm=self.config.distance)
        return StepOutput(loss)


def _as_clouds(patches: Float[Tensor, "batch hidden coordinates"]) -> Float[Tensor, "patches points 3"]:
    clouds: Tensor = patches.flatten(0, 1).unflatten(1, (-1, 3))
    return clouds
