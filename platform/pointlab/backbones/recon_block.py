"""ReCon's transformer block: patches mix among themselves, and a few queries read them on the side.

Qi et al., "Contrast with Reconstruct: Contrastive 3D Representation Learning Guided by Generative
Pretraining", ICML 2023. Both streams start their residuals from the *normalised* tensor, unlike the pre-norm
block of `transformer.py`, whose weights have the same shapes and other arithmetic. That is why no module of a
block here bears a name of one there: weights cannot pass from one to the other unseen.
"""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from pointlab.backbones.products import Linear
from pointlab.backbones.transformer import Attention, DropPath

Tokens = Float[Tensor, "batch tokens width"]
Queries = Float[Tensor, "batch queries width"]


class CrossAttention(nn.Module):
    """Multi-head attention of queries to tokens; only the projection has a bias."""

    def __init__(self, width: int, num_heads: int) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.query = nn.Linear(width, width, bias=False)
        self.key_value = nn.Linear(width, 2 * width, bias=False)
        self.projection = nn.Linear(width, width)

    def forward(self, queries: Queries, tokens: Tokens) -> Queries:
        """softmax(Q Kᵀ / √d) V in every head of d channels, joined and projected.

        No token's key or value is built. With K = X Aᵀ and V = X Bᵀ, Q Kᵀ = (Q A) Xᵀ and softmax(·) V =
        (softmax(·) X) Bᵀ: a few queries go through both matrices instead of all tokens.
        """
        key, value = self.key_value.weight.unflatten(0, (2, self.num_heads, -1))  # (heads, channels, width)
        query = self.query(queries).unflatten(2, (self.num_heads, -1))
        query = torch.einsum("bqhc,hcw->bhqw", query, key)
        attended = F.scaled_dot_product_attention(
            query.flatten(1, 2), tokens, tokens, scale=key.shape[1] ** -0.5
        )  # (batch, heads · queries, width)
        attended = torch.einsum("bhqw,hcw->bqhc", attended.unflatten(1, (self.num_heads, -1)), value)
        projected: Tensor = self.projection(attended.flatten(2))
        return projected


class ReconBlock(nn.Module):
    """One layer of both streams; queries read the tokens, and not each other."""

    def __init__(self, width: int, num_heads: int, mlp_ratio: int, drop_path_rate: float) -> None:
        super().__init__()
        self.local_attention_norm = nn.LayerNorm(width)
        self.local_attention = Attention(width, num_heads)
        self.local_mlp_norm = nn.LayerNorm(width)
        self.local_mlp = _perceptron(width, mlp_ratio)
        self.query_attention_norm = nn.LayerNorm(width)
        self.query_attention = CrossAttention(width, num_heads)
        self.query_mlp_norm = nn.LayerNorm(width)
        self.query_mlp = _perceptron(width, mlp_ratio)
        self.drop_path = DropPath(drop_path_rate)

    def forward(self, tokens: Tokens, queries: Queries, *, stop_gradient: bool) -> tuple[Tokens, Queries]:
        """Each stream x: x ← norm(x) + attention, then x ← norm(x) + mlp, with drop path on every branch.

        Queries attend to the normalised tokens as these are before their own attention. With
        `stop_gradient`, a loss on the queries does not move the tokens. Where there are no queries,
        their half is left out.
        """
        tokens = self.local_attention_norm(tokens)
        if queries.shape[1] > 0:
            queries = self._update_queries(queries, tokens.detach() if stop_gradient else tokens)
        return self._update_tokens(tokens), queries

    def _update_queries(self, queries: Queries, tokens: Tokens) -> Queries:
        queries = self.query_attention_norm(queries)
        queries = queries + self.drop_path(self.query_attention(queries, tokens))
        queries = self.query_mlp_norm(queries)
        updated: Tensor = queries + self.drop_path(self.query_mlp(queries))
        return updated

    def _update_tokens(self, tokens: Tokens) -> Tokens:
        tokens = tokens + self.drop_path(self.local_attention(tokens))
        tokens = self.local_mlp_norm(tokens)
        updated: Tensor = tokens + self.drop_path(self.local_mlp(tokens))
        return updated


def recon_blocks(
    width: int, depth: int, num_heads: int, mlp_ratio: int, drop_path_rate: float
) -> nn.ModuleList:
    """`depth` blocks whose drop path rises evenly from 0 in the first to `drop_path_rate` in the last."""
    rates = [drop_path_rate * index / max(depth - 1, 1) for index in range(depth)]
    return nn.ModuleList(ReconBlock(width, num_heads, mlp_ratio, rate) for rate in rates)


def _perceptron(width: int, ratio: int) -> nn.Sequential:
    return nn.Sequential(Linear(width, ratio * width), nn.GELU(), Linear(ratio * width, width))
