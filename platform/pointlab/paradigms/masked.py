"""Masked point modelling: most patches are hidden, and their points are rebuilt from the visible ones. No
labels.

Point-MAE: Pang et al., "Masked Autoencoders for Point Cloud Self-supervised Learning", ECCV 2022.
"""

from typing import Literal

from jaxtyping import Float
from torch import Tensor

from pointlab.backbones import Backbone, PatchTransformer
from pointlab.data.sample import PointBatch
from pointlab.paradigms.base import Given, StepOutput
from pointlab.paradigms.rebuilding import MaskedPatches, Rebuilding, RebuildingConfig


class MaskedConfig(RebuildingConfig):
    """What is hidden, and how it is rebuilt: nothing else is asked of the backbone."""

    kind: Literal["masked"] = "masked"


class Masked(Rebuilding):
    """A patch transformer that encodes the visible patches, and a decoder.

    The class token takes no part, as in Point-MAE: a backbone that has one keeps it as it began, and it is
    trained when the backbone is fine-tuned.
    """

    backbone: PatchTransformer

    def __init__(self, config: MaskedConfig, backbone: Backbone, given: Given) -> None:  # noqa: ARG002
        """Take over `backbone`; what rebuilds is new. Raises ConfigError as `require_fitting` does."""
        assert isinstance(backbone, PatchTransformer), "declared in compatibility.py"
        super().__init__(config, backbone)

    def forward(self, batch: PointBatch) -> StepOutput:
        """The Chamfer distance of hidden patches to what is rebuilt of them."""
        patches = self.masked(batch)
        return StepOutput(self.reconstruction(self.latent(patches), patches))

    def latent(self, patches: MaskedPatches) -> Float[Tensor, "batch visible width"]:
        """The visible tokens, encoded."""
        return self.backbone.encode(patches.tokens, patches.visible.centres, class_token=False)
