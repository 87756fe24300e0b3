"""The blocks of a vision transformer as ACT's checkpoints hold them: frozen, and with names of timm's.

They are `TransformerBlock`s but for two things: queries, keys and values have a bias where the file has one,
and norms add 1e-6 to the variance, as vision transformers do (Dosovitskiy et al., ICLR 2021).
"""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from pointlab.backbones.products import Linear
from pointlab.backbones.transformer import Tokens, TransformerBlock
from pointlab.objectives.prompting import ForeignTransformer

EPSILON = 1e-6
OF_VIT = {
    "attention_norm": "layernorm_before",
    "attention.projection": "attention.o_proj",
    "mlp_norm": "layernorm_after",
    "mlp.0": "mlp.fc1",
    "mlp.2": "mlp.fc2",
}
"""Our names of a block's layers, and those in a ViT of `transformers`, which has three layers for qkv."""
APART = ("q_proj", "k_proj", "v_proj")


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


class VisionTransformer(ForeignTransformer):
    """Blocks and final norm of a vision transformer, to be filled with weights."""

    def __init__(self, width: int, depth: int, num_heads: int, mlp_width: int, *, has_bias: bool) -> None:
        blocks = (ForeignBlock(width, num_heads, mlp_width, has_bias=has_bias) for _ in range(depth))
        super().__init__(nn.ModuleList(blocks), nn.LayerNorm(width, eps=EPSILON), width)
        self.num_heads = num_heads


def as_released(foreign: ForeignTransformer) -> VisionTransformer | None:
    """The same network as ACT's checkpoints hold it; None for blocks of another arithmetic than theirs.

    Its norms add 1e-6 to the variance. Where a network's own add less, as in ViTs on the hub, tiny rows
    such as new prompts come out a little smaller.
    """
    if isinstance(foreign, VisionTransformer):
        return foreign
    states = [block.state_dict() for block in foreign.blocks]
    if any(state.keys() != _vit_names("attention.q_proj.bias" in state) for state in states):
        return None
    has_bias = "attention.q_proj.bias" in states[0]
    mlp_width, width = states[0]["mlp.fc1.weight"].shape
    attention: Any = foreign.blocks[0].attention
    heads = attention.num_attention_heads
    found = VisionTransformer(width, len(states), heads, mlp_width, has_bias=has_bias)
    for block, state in zip(found.blocks, states, strict=True):
        block.load_state_dict({name: _joined(name, state) for name in block.state_dict()})
    found.norm.load_state_dict(foreign.norm.state_dict())
    found.requires_grad_(False).eval()
    return found if _agree(found, foreign) else None


def _vit_names(has_bias: bool) -> set[str]:
    leaves = ("weight", "bias")
    apart = {f"attention.{layer}.{leaf}" for layer in APART for leaf in leaves[: 1 + has_bias]}
    return apart | {f"{layer}.{leaf}" for layer in OF_VIT.values() for leaf in leaves}


def _joined(name: str, state: Mapping[str, Tensor]) -> Tensor:
    """The tensor of a ViT's block that is called `name` here."""
    layer, _, leaf = name.rpartition(".")
    if layer == "attention.qkv":
        return torch.cat([state[f"attention.{each}.{leaf}"] for each in APART])
    return state[f"{OF_VIT[layer]}.{leaf}"]


@torch.no_grad()
def _agree(one: ForeignTransformer, other: ForeignTransformer) -> bool:
    """Whether the first blocks map rows alike: equal names may hide another activation."""
    rows = torch.linspace(-1, 1, 3 * one.width).reshape(1, 3, one.width)
    expected = other.blocks[0](rows, None)
    return bool(torch.allclose(one.blocks[0](rows, None), expected, atol=1e-4 * float(expected.abs().max())))
