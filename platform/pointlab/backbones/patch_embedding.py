"""The patch transformer without its transformer: patches become tokens, and that is all.

What the discrete autoencoders of Point-BERT and ACT train in front of their codes, and a baseline: how much
the shapes of small patches tell on their own.
"""

from collections.abc import Set as AbstractSet
from typing import Literal

import torch
from pydantic import PositiveInt

from pointlab.backbones.patch_backbone import PatchBackbone
from pointlab.backbones.patches import PatchEmbedder
from pointlab.backbones.surface import BackboneSettings, Features
from pointlab.data.sample import PointBatch


class PatchEmbeddingConfig(BackboneSettings):
    """Patches and their embedder, with the sizes of `PatchTransformerConfig`."""

    kind: Literal["patch_embedding"] = "patch_embedding"
    width: PositiveInt = 384  # ACT's; Point-BERT's tokens have 256
    num_groups: PositiveInt = 64
    group_size: PositiveInt = 32
    embedder_widths: tuple[PositiveInt, PositiveInt, PositiveInt] = (128, 256, 512)
    skip_near_origin: bool = False


class PatchEmbedding(PatchBackbone):
    """Tokens are patches, positions their centres; `embedding` is the only stage.

    `pooled` joins the maximum and the mean over the patches. Weights start as torch has them, and not as a
    transformer's: so do those of the released autoencoders.
    """

    stages = ("embedding",)

    def __init__(self, config: PatchEmbeddingConfig) -> None:
        super().__init__()
        self.config = config
        self.widths, self.num_features = (config.width,), 2 * config.width
        self.min_points = self.fewest_points
        self.embedder = PatchEmbedder(config.embedder_widths, config.width)

    def compute(self, batch: PointBatch, stages: AbstractSet[str]) -> dict[str, Features]:
        """Features of the batch after its one stage."""
        patches = self.group(batch)
        tokens = self.embed(patches)
        pooled = torch.cat([tokens.amax(1), tokens.mean(1)], dim=1)
        return {stage: Features(tokens, patches.centres, pooled) for stage in stages}
