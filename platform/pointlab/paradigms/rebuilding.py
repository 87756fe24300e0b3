"""What the paradigms share that hide patches and rebuild their points from the visible ones.

Point-MAE: Pang et al., "Masked Autoencoders for Point Cloud Self-supervised Learning", ECCV 2022; the
reconstruction of ReCon is the same.
"""

from abc import abstractmethod
from dataclasses import dataclass
from typing import Literal

from jaxtyping import Float
from torch import Tensor, nn

from pointlab.backbones import BackboneConfig, PatchTransformer, ReconTransformer
from pointlab.backbones.patch_transformer import PatchTransformerConfig
from pointlab.backbones.patches import Patches, is_in_any
from pointlab.backbones.recon import ReconConfig
from pointlab.data.sample import PointBatch
from pointlab.geometry import chamfer_distance
from pointlab.objectives.decoders import DecoderConfig, MaskedDecoder
from pointlab.objectives.masking import MaskConfig, draw_mask
from pointlab.paradigms.base import Paradigm, ParadigmSettings, RebuiltPoints


class RebuildingConfig(ParadigmSettings):
    """What is hidden, and how it is rebuilt."""

    mask: MaskConfig = MaskConfig()
    decoder: DecoderConfig = DecoderConfig()
    distance: Literal["l2", "l1"] = "l2"
    """The Chamfer distance; Point-MAE's and ReCon's is l2."""
    embed: Literal["all", "visible"] = "all"
    """all: the embedder's BatchNorm sees hidden patches as well, as in the papers; visible: it does not,
    which is faster and changes results."""

    def require_fitting(self, backbone: BackboneConfig) -> None:
        """ConfigError where no patch would be hidden, or heads cannot share the width."""
        assert isinstance(backbone, PatchTransformerConfig | ReconConfig), "declared in compatibility.py"
        self.mask.num_hidden(backbone.num_groups)
        self.decoder.require_width(backbone.width)


@dataclass(frozen=True)
class MaskedPatches:
    """The visible patches of clouds, the hidden ones, and a token for each that is visible."""

    visible: Patches
    hidden: Patches
    tokens: Float[Tensor, "batch visible width"]


class Rebuilding(Paradigm):
    """A backbone of patches, a decoder, and a layer from its tokens to the points of hidden patches."""

    config: RebuildingConfig
    backbone: PatchTransformer | ReconTransformer

    def __init__(self, config: RebuildingConfig, backbone: PatchTransformer | ReconTransformer) -> None:
        """Take over `backbone`; decoder and layer are new. Raises ConfigError as `require_fitting` does."""
        super().__init__()
        config.require_fitting(backbone.config)
        self.config, self.backbone = config, backbone
        self.decoder = MaskedDecoder(config.decoder, backbone.width)
        self.to_points = nn.Linear(backbone.width, 3 * backbone.config.group_size)

    def exported(self) -> dict[str, nn.Module]:
        """The backbone, and beside it what rebuilds hidden patches: the released layouts have all three."""
        return {"backbone": self.backbone, "decoder": self.decoder, "to_points": self.to_points}

    def masked(self, batch: PointBatch) -> MaskedPatches:
        """Patches of the batch, some of them hidden by a new draw, and the visible ones embedded."""
        patches = self.backbone.group(batch)
        mask = draw_mask(patches.centres, self.config.mask)
        visible, hidden = patches.at(mask.visible), patches.at(mask.hidden)
        tokens = self.backbone.embed(visible, hidden if self.config.embed == "all" else None)
        return MaskedPatches(visible, hidden, tokens)

    @abstractmethod
    def latent(self, patches: MaskedPatches) -> Float[Tensor, "batch visible width"]:
        """What the encoder makes of the visible tokens."""

    def reconstruction(
        self, latent: Float[Tensor, "batch visible width"], patches: MaskedPatches
    ) -> Float[Tensor, ""]:
        """The Chamfer distance of hidden patches, relative to their centres, to what is rebuilt of them from
        the encoder's visible tokens."""
        rebuilt, target = self._rebuilt(latent, patches), patches.hidden.neighbourhoods
        return chamfer_distance(rebuilt.flatten(0, 1), target.flatten(0, 1), norm=self.config.distance)

    def rebuild(self, batch: PointBatch) -> RebuiltPoints:
        """The points that it makes of hidden patches, moved to where these are."""
        patches = self.masked(batch)
        rebuilt = self._rebuilt(self.latent(patches), patches) + patches.hidden.centres[:, :, None]
        return RebuiltPoints(is_in_any(patches.visible, batch.points.shape[1]), rebuilt.flatten(1, 2))

    def _rebuilt(
        self, latent: Float[Tensor, "batch visible width"], patches: MaskedPatches
    ) -> Float[Tensor, "batch hidden members 3"]:
        """The points of hidden patches, relative to their centres."""
        points = self.to_points(self.decoder(latent, patches.visible.centres, patches.hidden.centres))
        rebuilt: Tensor = points.unflatten(2, (-1, 3))
        return rebuilt
