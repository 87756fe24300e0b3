"""Parts of a pre-norm vision transformer (Dosovitskiy et al., ICLR 2021), as the patch transformers use it.

Encoders and decoders are both a list of `TransformerBlock`s, to whose input the positional embedding is
added anew before every block.
"""

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from pointlab.backbones.products import Linear

Tokens = Float[Tensor, "batch tokens width"]


class Attention(nn.Module):
    """Multi-head self-attention; queries, keys and values have no bias, the projection has one."""

    def __init__(self, width: int, num_heads: int) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.qkv = Linear(width, 3 * width, bias=False)
        self.projection = Linear(width, width)

    def forward(self, tokens: Tokens) -> Tokens:
        """softmax(Q Kᵀ / √d) V in every head of d channels, joined and projected."""
        heads = self.qkv(tokens).unflatten(2, (3, self.num_heads, -1)).permute(2, 0, 3, 1, 4)
        mixed = F.scaled_dot_product_attention(*heads)  # (batch, heads, tokens, channels of a head)
        projected: Tensor = self.projection(mixed.transpose(1, 2).flatten(2))
        return projected


class DropPath(nn.Module):
    """Stochastic depth (Huang et al., ECCV 2016): in training a sample loses its whole branch at `rate`.

    What is kept is scaled by 1 / (1 - rate), so that the expectation stays; evaluation changes nothing.
    Draws come from torch's own generator, as those of `nn.Dropout` do; the loop keys it before every step.
    """

    def __init__(self, rate: float) -> None:
        super().__init__()
        self.rate = rate

    def forward(self, branch: Tokens) -> Tokens:
        """`branch`, or zeros in its place, sample by sample."""
        if not self.training or self.rate == 0:
            return branch
        keep = 1 - self.rate
        return branch * branch.new_empty(len(branch), 1, 1).bernoulli_(keep).div_(keep)

    def extra_repr(self) -> str:
        """The rate, for the printed network."""
        return f"rate={self.rate:g}"


class TransformerBlock(nn.Module):
    """Attention, then a two-layer perceptron, each on normalised tokens and added to its input."""

    def __init__(self, width: int, num_heads: int, mlp_ratio: int, drop_path_rate: float) -> None:
        super().__init__()
        self.attention_norm = nn.LayerNorm(width)
        self.attention = Attention(width, num_heads)
        self.mlp_norm = nn.LayerNorm(width)
        self.mlp = nn.Sequential(
            Linear(width, mlp_ratio * width), nn.GELU(), Linear(mlp_ratio * width, width)
        )
        self.drop_path = DropPath(drop_path_rate)

    def forward(self, tokens: Tokens) -> Tokens:
        """x ← x + attention(norm(x)), then x ← x + mlp(norm(x)), with drop path on both branches."""
        tokens = tokens + self.drop_path(self.attention(self.attention_norm(tokens)))
        refined: Tensor = tokens + self.drop_path(self.mlp(self.mlp_norm(tokens)))
        return refined


def transformer_blocks(
    width: int, depth: int, num_heads: int, mlp_ratio: int, drop_path_rate: float
) -> nn.ModuleList:
    """`depth` blocks whose drop path rises evenly from 0 in the first to `drop_path_rate` in the last."""
    rates = [drop_path_rate * index / max(depth - 1, 1) for index in range(depth)]
    return nn.ModuleList(TransformerBlock(width, num_heads, mlp_ratio, rate) for rate in rates)


def positional_embedding(width: int, hidden: int = 128) -> nn.Sequential:
    """Perceptron from a position in space to `width` channels; 128 hidden units in all the papers."""
    return nn.Sequential(nn.Linear(3, hidden), nn.GELU(), nn.Linear(hidden, width))


def initialise(module: nn.Module) -> None:
    """Truncated-normal weights (σ = 0.02) and zero biases, for `Module.apply`; norms start at 1 and 0."""
    if isinstance(module, nn.Linear | nn.Conv1d):
        nn.init.trunc_normal_(module.weight, std=0.02)
        if module.bias is not None:
            nn.init.zeros_(module.bias)
