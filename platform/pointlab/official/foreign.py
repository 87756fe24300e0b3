"""The blocks of a vision transformer as ACT's checkpoints hold them: frozen, and with names of timm's.

They are `TransformerBlock`s but for two things: queries, keys and values have a bias where the file has one,
and norms add 1e-6 to the variance, as vision transformers do (Dosovitskiy et al., ICLR 2021).
"""

from torch import Tensor, nn

from pointlab.backbones.products import Linear
from pointlab.backbones.transformer import Tokens, TransformerBlock
from pointlab.objectives.prompting import ForeignTransformer

EPSILON = 1e-6


class ForeignBlock(TransformerBlock):
    """A pre-norm block with the signature that a foreign transformer's blocks have."""

    def __init__(self, width: int, num_heads: int, mlp_width: int, *, has_bias: bool) -> None:
        super().__init__(width, num_heads, 1, 0.0)
        self.mlp = nn.Sequential(Linear(width, mlp_width), nn.GELU(), Linear(mlp_width, width))
        self.attention.qkv = Linear(width, 3 * width, bias=has_bias)
        self.attention_norm.eps = self.mlp_norm.eps = EPSILON

    def forward(self, tokens: Tokens, mask: None = None) -> Tokens:  # noqa: ARG002
        """The block's output; nothing is ever masked here."""
        refined: Tensor = super().forward(tokens)
        return refined


def vision_transformer(
    width: int, depth: int, num_heads: int, mlp_width: int, *, has_bias: bool
) -> ForeignTransformer:
    """Blocks and final norm of a vision transformer, to be filled with a checkpoint's weights."""
    blocks = nn.ModuleList(ForeignBlock(width, num_heads, mlp_width, has_bias=has_bias) for _ in range(depth))
    return ForeignTransformer(blocks, nn.LayerNorm(width, eps=EPSILON), width)
