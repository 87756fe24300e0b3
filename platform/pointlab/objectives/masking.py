"""Which patches a masked paradigm hides: at random, or a block of neighbours.

Point-MAE: Pang et al., ECCV 2022, section 3.1 and its released code; ACT and ReCon mask alike, at other
ratios.
"""

from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Float, Int64
from pydantic import Field
from torch import Tensor

from pointlab.config import StrictModel
from pointlab.errors import ConfigError


class MaskConfig(StrictModel):
    """How many patches of every cloud are hidden, and how they lie."""

    kind: Literal["random", "block"] = "random"
    """random: drawn one by one; block: a drawn patch and its nearest, so that a whole region is missing."""
    ratio: float = Field(default=0.6, gt=0, lt=1)
    """Share of the patches, rounded down: 0.6 is Point-MAE's and ReCon's, ACT has 0.8."""

    def num_hidden(self, num_groups: int) -> int:
        """How many of so many patches are hidden, never all; ConfigError if that is none."""
        hidden = int(self.ratio * num_groups)
        if hidden == 0:
            raise ConfigError(
                f"paradigm.mask.ratio is {self.ratio}, which hides 0 of {num_groups} patches.",
                expected="some hidden and some visible patches",
                remedy="raise paradigm.mask.ratio or backbone.num_groups",
            )
        return hidden


@dataclass(frozen=True)
class Mask:
    """Rows of the visible and of the hidden patches of each cloud, both in rising order."""

    visible: Int64[Tensor, "batch visible"]
    hidden: Int64[Tensor, "batch hidden"]


def draw_mask(centres: Float[Tensor, "batch groups 3"], config: MaskConfig) -> Mask:
    """A mask for each cloud, by torch's own generator: equally many patches of each, `ratio` rounded down.

    The draws are made on the CPU, so that every device hides the same.
    """
    batch, num_groups, _ = centres.shape
    num_hidden = config.num_hidden(num_groups)
    if config.kind == "random":
        order = torch.rand(batch, num_groups, dtype=torch.float64).argsort(1).to(centres.device)
    else:
        first = torch.randint(num_groups, (batch, 1)).to(centres.device)
        middle = centres.gather(1, first.unsqueeze(2).expand(-1, -1, 3))
        order = torch.linalg.vector_norm(centres - middle, dim=2).argsort(dim=1, stable=True)
    return Mask(order[:, num_hidden:].sort(1).values, order[:, :num_hidden].sort(1).values)
