"""ReCon's encoder: patches through a transformer, and beside them queries that learn from other modalities.

Qi et al., "Contrast with Reconstruct: Contrastive 3D Representation Learning Guided by Generative
Pretraining", ICML 2023. Patches, their embedder and the embedding of their centres are those of
`patch_transformer.py`; the blocks (`recon_block.py`) are not. The patches are to rebuild what is hidden, the
queries to say what a picture and a caption of the cloud say, without disturbing the patches.
"""

from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from typing import Literal

import torch
from jaxtyping import Float
from pydantic import Field, PositiveInt, model_validator
from torch import Tensor, nn

from pointlab.backbones.patch_backbone import PatchBackbone
from pointlab.backbones.patches import PatchEmbedder
from pointlab.backbones.recon_block import recon_blocks
from pointlab.backbones.surface import BackboneSettings, Features
from pointlab.backbones.transformer import initialise, positional_embedding
from pointlab.data.sample import PointBatch

QueryName = Literal["class", "image", "text"]


class ReconConfig(BackboneSettings):
    """Size of ReCon's encoder, with the sizes of `PatchTransformerConfig` where they mean the same."""

    kind: Literal["recon"] = "recon"
    width: PositiveInt = 384  # the paper's base size; 256 with 4 heads is its small, 192 with 3 its tiny
    depth: PositiveInt = 12
    num_heads: PositiveInt = 6
    mlp_ratio: PositiveInt = 4
    num_groups: PositiveInt = 64
    group_size: PositiveInt = 32
    embedder_widths: tuple[PositiveInt, PositiveInt, PositiveInt] = (128, 256, 512)
    drop_path_rate: float = Field(default=0.1, ge=0, lt=1)  # the paper pretrains at 0.1, fine-tunes at 0.2
    queries: tuple[QueryName, ...] = Field(default=("class", "image", "text"), min_length=1)  # the paper's
    skip_near_origin: bool = False

    @model_validator(mode="after")
    def _check(self) -> "ReconConfig":
        if self.width % self.num_heads:
            raise ValueError(f"width {self.width} is not a multiple of num_heads {self.num_heads}")
        if len(set(self.queries)) < len(self.queries):
            raise ValueError(f"a query is named twice in {', '.join(self.queries)}")
        return self


class ReconTransformer(PatchBackbone):
    """Tokens are patches, positions their centres; stages are `embedding`, `block_1`, … `block_<depth>`.

    `pooled` joins all queries and the maximum over the patches, what the paper's classifier reads. The one
    final norm serves patches and queries alike.
    """

    def __init__(self, config: ReconConfig) -> None:
        super().__init__()
        self.config = config
        self.stages = ("embedding", *(f"block_{index + 1}" for index in range(config.depth)))
        self.widths = (config.width,) * len(self.stages)
        self.num_features = (len(config.queries) + 1) * config.width
        self.min_points = self.fewest_points
        self.embedder = PatchEmbedder(config.embedder_widths, config.width)
        self.positional = positional_embedding(config.width)
        self.blocks = recon_blocks(
            config.width, config.depth, config.num_heads, config.mlp_ratio, config.drop_path_rate
        )
        self.norm = nn.LayerNorm(config.width)
        self.apply(initialise)
        self.query_tokens = _learned_rows(config)
        self.query_positions = _learned_rows(config)

    def encode_with_queries(
        self,
        tokens: Float[Tensor, "batch tokens width"],
        positions: Float[Tensor, "batch tokens 3"],
        *,
        stop_gradient: bool,
        names: Sequence[QueryName] | None = None,
    ) -> tuple[Float[Tensor, "batch tokens width"], Float[Tensor, "batch queries width"]]:
        """`tokens` after all blocks and the final norm, and the queries, in the order of the setting.

        `tokens` are any subset of a cloud's patches, in any order. With `stop_gradient`, as in the paper's
        pretraining, a loss on the queries trains the queries' own part and the final norm alone; in
        fine-tuning it trains all. `names`: the queries that are asked for, in their order, perhaps none; as
        queries do not see each other, leaving some out changes nothing of the rest.
        """
        names = self.config.queries if names is None else names
        places, (queries, query_places) = self.positional(positions), self._queries(len(tokens), names)
        for block in self.blocks:
            tokens, queries = block(tokens + places, queries + query_places, stop_gradient=stop_gradient)
        return self.norm(tokens), self.norm(queries)

    def encode_stages(
        self,
        tokens: Float[Tensor, "batch tokens width"],
        positions: Float[Tensor, "batch tokens 3"],
        stages: AbstractSet[str],
    ) -> dict[str, Features]:
        """Features of `tokens` after each of `stages`, as `PatchTransformer` has them."""
        places = self.positional(positions)
        queries, query_places = self._queries(len(tokens), self.config.queries)
        found = {self.stages[0]: _features(tokens, queries, positions)} if self.stages[0] in stages else {}
        depth = max(self.stages.index(stage) for stage in stages)
        for stage, block in zip(self.stages[1 : 1 + depth], self.blocks, strict=False):
            tokens, queries = block(tokens + places, queries + query_places, stop_gradient=False)
            if stage in stages:
                found[stage] = _features(self.norm(tokens), self.norm(queries), positions)
        return found

    def compute(self, batch: PointBatch, stages: AbstractSet[str]) -> dict[str, Features]:
        """Features of the batch after each of `stages`: group, embed, encode; gradients flow everywhere."""
        patches = self.group(batch)
        return self.encode_stages(self.embed(patches), patches.centres, stages)

    def svm_features(self, batch: PointBatch) -> Float[Tensor, "batch features"]:
        """What the paper's linear SVM reads: [maximum over queries, maximum + mean over patches]."""
        self._check_counts(batch)
        patches = self.group(batch)
        tokens, queries = self.encode_with_queries(self.embed(patches), patches.centres, stop_gradient=False)
        return torch.cat([queries.amax(1), tokens.amax(1) + tokens.mean(1)], dim=1)

    def class_parameters(self) -> list[nn.Parameter]:
        """The class query and its position, if there is one."""
        return [rows["class"] for rows in (self.query_tokens, self.query_positions) if "class" in rows]

    def _queries(self, batch: int, names: Sequence[QueryName]) -> tuple[Tensor, Tensor]:
        """The learned queries of these names and their positions, for each cloud of a batch."""
        none = self.norm.weight.new_empty(1, 0, self.config.width)
        rows, places = (
            torch.cat([none, *(learned[name] for name in names)], dim=1).expand(batch, -1, -1)
            for learned in (self.query_tokens, self.query_positions)
        )
        return rows, places


def _learned_rows(config: ReconConfig) -> nn.ParameterDict:
    rows = (nn.init.trunc_normal_(torch.empty(1, 1, config.width), std=0.02) for _ in config.queries)
    return nn.ParameterDict(dict(zip(config.queries, map(nn.Parameter, rows), strict=True)))


def _features(tokens: Tensor, queries: Tensor, positions: Tensor) -> Features:
    return Features(tokens, positions, torch.cat([queries.flatten(1), tokens.amax(1)], dim=1))
