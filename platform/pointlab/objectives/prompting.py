"""A frozen transformer of images or words, made to work on patches of points by learned prompts around it.

ACT: Dong et al., "Autoencoders as Cross-Modal Teachers", ICLR 2023, section 3.2, with deep prompts as in
visual prompt tuning (Jia et al., ECCV 2022). Only the blocks and the final norm of the foreign network are
used: what it makes of its own inputs (patches, words, places, class tokens) is left out.
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

    The network itself is handed to `forward`, so that it stays out of what is trained and stored.
    """

    def __init__(self, config: PromptConfig, width: int, foreign: ForeignTransformer) -> None:
        """For tokens of `width` channels; projections start as torch has them, as in the released code."""
        super().__init__()
        self.config = config
        self.enter, self.leave = nn.Linear(width, foreign.width), nn.Linear(foreign.width, width)
        self.positional = positional_embedding(foreign.width)
        shape = (config.num_prompts, foreign.width)
        num_deep = len(foreign.blocks) - 1 if config.kind == "deep" else 0
        self.prompt_tokens, self.prompt_positions = _learned(1, *shape), _learned(1, *shape)
        self.deep_tokens, self.deep_positions = _learned(num_deep, *shape), _learned(num_deep, *shape)
        self.dropout = nn.Dropout(config.dropout)

    def forward(
        self,
        tokens: Float[Tensor, "batch groups width"],
        centres: Float[Tensor, "batch groups 3"],
        foreign: ForeignTransformer,
    ) -> Float[Tensor, "batch groups width"]:
        """What the foreign network makes of the tokens; places are added before each of its blocks."""
        entered, at_centres = self.enter(tokens), self.positional(centres)
        prompts, at_prompts = self.prompt_tokens[0], self.prompt_positions[0]
        rows = self._prompted(prompts, entered)
        for depth, block in enumerate(foreign.blocks):
            if depth > 0 and self.config.kind == "deep":
                prompts, at_prompts = self.deep_tokens[depth - 1], self.deep_positions[depth - 1]
                rows = self._prompted(prompts, rows[:, len(prompts) :])
            places = torch.cat([_repeated(at_prompts, at_centres), at_centres], dim=1)
            rows = block(rows + places, None)
        left: Tensor = self.leave(foreign.norm(rows)[:, self.config.num_prompts :])
        return left

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


def _learned(*shape: int) -> nn.Parameter:
    empty = torch.empty(shape)
    return nn.Parameter(nn.init.trunc_normal_(empty, std=0.02) if empty.numel() else empty)
