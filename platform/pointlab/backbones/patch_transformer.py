"""The patch transformer of Point-BERT, Point-MAE and ACT: tokens of patches through a plain ViT.

Patches of the cloud become tokens (`patches.py`), which pre-norm blocks (`transformer.py`) mix; an
embedding of the patch centres is added before every block. Point-MAE: Pang et al., ECCV 2022, section 3;
ACT: Dong et al., ICLR 2023. `group`, `embed` and `encode` are its three steps, apart, for
paradigms that hide some of the patches in between.
"""

from collections.abc import Set as AbstractSet
from typing import Literal

import torch
from jaxtyping import Float
from pydantic import Field, PositiveInt, model_validator
from torch import Tensor, nn

from pointlab.backbones.patch_backbone import PatchBackbone
from pointlab.backbones.patches import PatchEmbedder
from pointlab.backbones.surface import BackboneSettings, Features
from pointlab.backbones.transformer import initialise, positional_embedding, transformer_blocks
from pointlab.data.sample import PointBatch


class PatchTransformerConfig(BackboneSettings):
    """Size of a patch transformer; the defaults are the network of Point-MAE and ACT for 1,024 points."""

    kind: Literal["patch_transformer"] = "patch_transformer"
    width: PositiveInt = 384  # ViT-small, the size that all the papers report
    depth: PositiveInt = 12  # as ViT-small
    num_heads: PositiveInt = 6  # 64 channels a head, as in every ViT
    mlp_ratio: PositiveInt = 4  # as in every ViT
    num_groups: PositiveInt = 64  # 64 × 32 covers 1,024 points twice; ScanObjectNN's 2,048 take 128
    group_size: PositiveInt = 32  # the papers' choice at every number of groups
    embedder_widths: tuple[PositiveInt, PositiveInt, PositiveInt] = (128, 256, 512)  # at width 384
    embedder_outputs: PositiveInt | None = None
    """Channels of the embedder, which a linear layer brings to `width`; null has `width` at once, as in all
    papers but Point-BERT, whose embedder comes with 256 from its discrete autoencoder."""
    drop_path_rate: float = Field(default=0.1, ge=0, lt=1)  # the papers' rate in both training stages
    class_token: bool = True  # what their classifiers read; Point-MAE's pretraining alone does without
    skip_near_origin: bool = False  # the CUDA kernel's quirk: never pick a centre within 0.03 of the origin

    @model_validator(mode="after")
    def _check_heads(self) -> "PatchTransformerConfig":
        if self.width % self.num_heads:
            raise ValueError(f"width {self.width} is not a multiple of num_heads {self.num_heads}")
        return self


class PatchTransformer(PatchBackbone):
    """Tokens are patches, positions their centres; stages are `embedding`, `block_1`, … `block_<depth>`.

    `pooled` joins the class token and the maximum over the patches (the papers' classification feature), or
    without a class token the maximum and the mean (our choice, as it also holds what all patches say).
    """

    class_token: nn.Parameter | None
    class_position: nn.Parameter | None

    def __init__(self, config: PatchTransformerConfig) -> None:
        super().__init__()
        self.config = config
        self.stages = ("embedding", *(f"block_{index + 1}" for index in range(config.depth)))
        self.widths, self.num_features = (config.width,) * len(self.stages), 2 * config.width
        self.min_points = self.fewest_points
        self.embedder = _embedder(config)
        self.positional = positional_embedding(config.width)
        self.blocks = transformer_blocks(
            config.width, config.depth, config.num_heads, config.mlp_ratio, config.drop_path_rate
        )
        self.norm = nn.LayerNorm(config.width)
        self.apply(initialise)
        for name in ("class_token", "class_position"):
            self.register_parameter(name, _learned_row(config.width) if config.class_token else None)

    def encode(
        self,
        tokens: Float[Tensor, "batch tokens width"],
        positions: Float[Tensor, "batch tokens 3"],
        *,
        class_token: bool = True,
    ) -> Float[Tensor, "batch tokens width"]:
        """`tokens` after all blocks and the final norm: any subset of a cloud's patches, in any order.

        The class token, if there is one, takes part unless `class_token` is off, but is not returned;
        `encode_stages` also gives it.
        """
        rows, places = tokens, self.positional(positions)
        if class_token:
            rows, places = self._with_class_token(rows, places)
        for block in self.blocks:
            rows = block(rows + places)
        encoded: Tensor = self.norm(rows[:, -tokens.shape[1] :])
        return encoded

    def encode_stages(
        self,
        tokens: Float[Tensor, "batch tokens width"],
        positions: Float[Tensor, "batch tokens 3"],
        stages: AbstractSet[str],
    ) -> dict[str, Features]:
        """Features of `tokens` after each of `stages`; nothing is computed beyond the last of them.

        The final norm is applied after every block that is asked for, as in the papers' segmentation
        networks, so that all depths come out at one scale; tokens go on to the next block without it.
        """
        rows, places = self._with_class_token(tokens, self.positional(positions))
        found = {self.stages[0]: self._features(rows, positions)} if self.stages[0] in stages else {}
        depth = max(self.stages.index(stage) for stage in stages)
        for stage, block in zip(self.stages[1 : 1 + depth], self.blocks, strict=False):
            rows = block(rows + places)
            if stage in stages:
                found[stage] = self._features(self.norm(rows), positions)
        return found

    def compute(self, batch: PointBatch, stages: AbstractSet[str]) -> dict[str, Features]:
        """Features of the batch after each of `stages`: group, embed, encode."""
        patches = self.group(batch)
        return self.encode_stages(self.embed(patches), patches.centres, stages)

    def class_parameters(self) -> list[nn.Parameter]:
        """The class token and its position, if there is one."""
        return [row for row in (self.class_token, self.class_position) if row is not None]

    def _with_class_token(self, tokens: Tensor, places: Tensor) -> tuple[Tensor, Tensor]:
        """Both with the row of the class token put first, if there is one."""
        if self.class_token is None or self.class_position is None:
            return tokens, places
        rows = torch.cat([self.class_token.expand(len(tokens), -1, -1), tokens], dim=1)
        return rows, torch.cat([self.class_position.expand(len(places), -1, -1), places], dim=1)

    def _features(self, rows: Tensor, positions: Tensor) -> Features:
        if self.class_token is None:
            return Features(rows, positions, torch.cat([rows.amax(1), rows.mean(1)], dim=1))
        patches = rows[:, 1:]
        return Features(patches, positions, torch.cat([rows[:, 0], patches.amax(1)], dim=1))


class _ReducedEmbedder(nn.Sequential):
    """An embedder, and the linear layer that brings its channels to the network's width."""

    def forward(self, neighbourhoods: Tensor, company: Tensor | None = None) -> Tensor:
        embedder, reduce = self
        tokens: Tensor = reduce(embedder(neighbourhoods, company))
        return tokens


def _embedder(config: PatchTransformerConfig) -> nn.Module:
    """What makes a token of `width` channels of each neighbourhood."""
    if config.embedder_outputs is None:
        return PatchEmbedder(config.embedder_widths, config.width)
    return _ReducedEmbedder(
        PatchEmbedder(config.embedder_widths, config.embedder_outputs),
        nn.Linear(config.embedder_outputs, config.width),
    )


def _learned_row(width: int) -> nn.Parameter:
    return nn.Parameter(nn.init.trunc_normal_(torch.empty(1, 1, width), std=0.02))
