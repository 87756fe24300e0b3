"""The decoder of the masked paradigms: it says what the hidden patches are from what is visible.

Point-MAE: Pang et al., ECCV 2022, section 3.3; ACT (Dong et al., ICLR 2023) has half its depth.
"""

import torch
from jaxtyping import Float
from pydantic import Field, PositiveInt
from torch import Tensor, nn

from pointlab.backbones.transformer import positional_embedding, transformer_blocks
from pointlab.config import StrictModel
from pointlab.errors import ConfigError


class DecoderConfig(StrictModel):
    """Size of a masked decoder; its width is the encoder's."""

    depth: PositiveInt = 4  # Point-MAE's and ReCon's; ACT has 2
    num_heads: PositiveInt = 6  # as in all three papers
    mlp_ratio: PositiveInt = 4
    drop_path_rate: float = Field(default=0.1, ge=0, lt=1)

    def require_width(self, width: int) -> None:
        """ConfigError where `width` is no multiple of the number of heads."""
        if width % self.num_heads:
            raise ConfigError(
                f"paradigm.decoder.num_heads is {self.num_heads}, and backbone.width is {width}.",
                expected="a width that heads can share",
                remedy="change paradigm.decoder.num_heads to a divisor of the width",
            )


class MaskedDecoder(nn.Module):
    """Blocks over the visible tokens and a mask token for each hidden patch, with positions of its own."""

    def __init__(self, config: DecoderConfig, width: int) -> None:
        """Raises ConfigError where `width` is no multiple of the number of heads."""
        super().__init__()
        config.require_width(width)
        # begun as torch does, as in the released code: a start as small as the encoder's makes places alike
        self.positional = positional_embedding(width)
        self.mask_token = nn.Parameter(nn.init.trunc_normal_(torch.empty(1, 1, width), std=0.02))
        self.blocks = transformer_blocks(
            width, config.depth, config.num_heads, config.mlp_ratio, config.drop_path_rate
        )
        self.norm = nn.LayerNorm(width)
        self.blocks.apply(_initialise_evenly)

    def forward(
        self,
        latent: Float[Tensor, "batch visible width"],
        seen: Float[Tensor, "batch visible 3"],
        unseen: Float[Tensor, "batch hidden 3"],
    ) -> Float[Tensor, "batch hidden width"]:
        """A token for each hidden patch, from the encoder's visible tokens and the places of both."""
        rows = torch.cat([latent, self.mask_token.expand(*unseen.shape[:2], -1).to(latent.dtype)], dim=1)
        places = self.positional(torch.cat([seen, unseen], dim=1))
        for block in self.blocks:
            rows = block(rows + places)
        decoded: Tensor = self.norm(rows[:, -unseen.shape[1] :])
        return decoded


def _initialise_evenly(module: nn.Module) -> None:
    """Xavier-uniform weights and zero biases, as Point-MAE's decoder has them."""
    if isinstance(module, nn.Linear):
        nn.init.xavier_uniform_(module.weight)
        if module.bias is not None:
            nn.init.zeros_(module.bias)
