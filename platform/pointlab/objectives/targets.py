"""What masked paradigms predict where it is not the points themselves: the latents of a finished stage I."""

from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn

from pointlab.backbones.patch_embedding import PatchEmbedding
from pointlab.backbones.patches import Patches
from pointlab.objectives.autoencoder import Autoencoder
from pointlab.objectives.graphs import nearest_centres
from pointlab.objectives.prompting import ForeignTransformer


class Latents(nn.Module):
    """A finished stage I of ACT, frozen: a latent for each patch of whole clouds."""

    def __init__(
        self, embedding: PatchEmbedding, autoencoder: Autoencoder, foreign: ForeignTransformer
    ) -> None:
        """`embedding` also says how the patches that are asked for must have been made."""
        super().__init__()
        self.embedding, self.autoencoder, self.foreign = embedding, autoencoder, foreign

    @property
    def width(self) -> int:
        """Channels of a latent."""
        return self.autoencoder.width

    @torch.no_grad()
    def forward(
        self, patches: Patches, choice: Literal["likeliest", "hard"] = "likeliest"
    ) -> Float[Tensor, "batch groups width"]:
        """The latents; with hard choices each code is drawn at temperature 1, as in the released code."""
        centres, neighbours = patches.centres, nearest_centres(patches.centres)
        logits = self.autoencoder.logits(self.embedding.embed(patches), centres, neighbours)
        found: Tensor = self.autoencoder.latents(logits, centres, self.foreign, choice, neighbours=neighbours)
        return found
