"""A frozen transformer of images or words, made to work on patches of points by learned prompts around it.

ACT: Dong et al., "Autoencoders as Cross-Modal Teachers", ICLR 2023, section 3.2, with deep prompts as in
visual prompt tuning (Jia et al., ECCV 2022). Only the blocks and the final norm of the foreign network are
used: what it makes of its own inputs (patches, words, places, class tokens) is left out. CLIP's norm before
its first block belongs to that too: it brings embedded patches to a scale, which `enter` learns to do.
"""

from typing import Literal

import torch
from jaxtyping import Float
from pydantic import Field, NonNegativeInt
from torch import Tensor, nn

from pointlab.backbones.transformer import positional_embedding
from pointlab.config import StrictModel


class PromptConfig(StrictModel):
    """Learned rows that go through the foreign network beside the tokens."""

    kind: Literal["deep", "shallow"] = "deep"
    """deep: new ones before every block, as in ACT; shallow: before the first alone."""
    num_prompts: NonNegativeInt = 64  # as many as tokens, in ACT
    dropout: float = Field(default=0.1, ge=0, lt=1)  # of prompts, in training; ACT's


class ForeignTransformer(nn.Module):
    """The blocks of another network and its final norm, which map rows of `width` channels to such rows."""

    def __init__(self, blocks: nn.ModuleList, norm: nn.Module, width: int) -> None:
        """A block takes [batch, rows, width] and a mask, here None, as those of `transformers` do."""
        super().__init__()
        self.blocks, self.norm, self.width = blocks, norm, width


class Prompting(nn.Module):
    """What is trained around a foreign transformer: projections in and out, places of centres, and prompts.

    The network itself is handed to `forward`, so that it stays out of what is trained and stored. Prompts
    that the settings leave out are None.
    """

    prompt_tokens: nn.Parameter | None
    prompt_positions: nn.Parameter | None
    deep_tokens: nn.Parameter | None
    deep_positions: nn.Parameter | None

    def __init__(self, config: PromptConfig, width: int, foreign: ForeignTransformer) -> None:
        """For tokens of `width` channels; projections start as torch has them, as in the released code."""
        super().__init__()
        self.config = config
        self.enter, self.leave = nn.Linear(width, foreign.width), nn.Linear(foreign.width, width)
        self.positional = positional_embedding(foreign.width)
        num_deep = len(foreign.blocks) - 1 if config.kind == "deep" else 0
        for place, depth in (("prompt", 1), ("deep", num_deep)):
            for part in ("tokens", "positions"):
                learned = _learned(depth, config.num_prompts, foreign.width)
                self.register_parameter(f"{place}_{part}", learned)
        self.dropout = nn.Dropout(config.dropout)

    def forward(
        self,
        tokens: Float[Tensor, "batch groups width"],
        centres: Float[Tensor, "batch groups 3"],
        foreign: ForeignTransformer,
    ) -> Float[Tensor, "batch groups width"]:
        """What the foreign network makes of the tokens; places are added before each of its blocks."""
        rows, at_centres = self.enter(tokens), self.positional(centres)
        num_groups, places = tokens.shape[1], at_centres
        for depth, block in enumerate(foreign.blocks):
            found = self._prompts_before(depth)
            if found is not None:
                prompts, at_prompts = found
                rows = self._prompted(prompts, rows[:, -num_groups:])
                places = torch.cat([_repeated(at_prompts, at_centres), at_centres], dim=1)
            rows = block(rows + places, None)
        left: Tensor = self.leave(foreign.norm(rows)[:, -num_groups:])
        return left

    def _prompts_before(
        self, depth: int
    ) -> tuple[Float[Tensor, "prompts width"], Float[Tensor, "prompts width"]] | None:
        """New prompts for the block at this depth, and their places; None where those before it go on."""
        tokens, places = self.prompt_tokens, self.prompt_positions
        if depth > 0:
            tokens, places = self.deep_tokens, self.deep_positions
        if tokens is None or places is None:
            return None
        row = max(depth - 1, 0)
        return tokens[row], places[row]

    def _prompted(
        self, prompts: Float[Tensor, "prompts width"], rows: Float[Tensor, "batch _ width"]
    ) -> Float[Tensor, "batch _ width"]:
        """The prompts put before every cloud's rows; in training each cloud loses others of their entries."""
        return torch.cat([self.dropout(_repeated(prompts, rows)), rows], dim=1)


def _repeated(
    prompts: Float[Tensor, "prompts width"], rows: Float[Tensor, "batch _ width"]
) -> Float[Tensor, "batch prompts width"]:
    """The same prompts for every cloud."""
    return prompts.to(rows.dtype).expand(len(rows), -1, -1)


def _learned(*shape: int) -> nn.Parameter | None:
    """A new parameter; None where it would be empty."""
    if 0 in shape:
        return None
    return nn.Parameter(nn.init.trunc_normal_(torch.empty(shape), std=0.02))
