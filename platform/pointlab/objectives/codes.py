"""Discrete codes: a choice among the entries of a codebook that gradients can pass.

Gumbel-softmax: Jang et al., ICLR 2017. The codebook, the pull towards an even use of it and the schedules are
those of Point-BERT's discrete autoencoder (Yu et al., CVPR 2022), which ACT keeps (Dong et al., ICLR 2023).
"""

import math
from typing import Literal

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int64
from torch import Tensor, nn

from pointlab.backbones.precision import wide

Choice = Literal["soft", "hard", "likeliest"]
"""soft: a mixture of entries, with Gumbel noise; hard: one entry drawn by the same noise, whose gradient is
that of the mixture; likeliest: the entry of the highest logit, without noise."""


class Codebook(nn.Module):
    """`num_codes` vectors of `width` channels, one of which stands for each token."""

    def __init__(self, num_codes: int, width: int) -> None:
        super().__init__()
        self.entries = nn.Parameter(torch.randn(num_codes, width))

    def forward(
        self, logits: Float[Tensor, "batch groups codes"], choice: Choice, temperature: float = 1.0
    ) -> Float[Tensor, "batch groups width"]:
        """What stands for each token; noise comes from torch's own generator. Temperature only counts for
        it."""
        if choice == "likeliest":
            return F.embedding(likeliest_codes(logits), self.entries)
        shares = F.gumbel_softmax(wide(logits), tau=temperature, hard=choice == "hard", dim=2)
        return shares @ self.entries


def likeliest_codes(logits: Float[Tensor, "batch groups codes"]) -> Int64[Tensor, "batch groups"]:
    """The code of each token: that of its highest logit, the first of equals."""
    return logits.argmax(2)


def codes_used(logits: Float[Tensor, "batch groups codes"]) -> Float[Tensor, ""]:
    """The perplexity of the likeliest codes of a batch: as many, used evenly, would be as varied.

    1 where all tokens have one code; no gradients.
    """
    chosen = likeliest_codes(logits).flatten()
    shares = torch.bincount(chosen, minlength=logits.shape[2]).double() / len(chosen)
    perplexity: Tensor = torch.special.entr(shares).sum().exp()
    return perplexity


def divergence_from_even_use(logits: Float[Tensor, "batch groups codes"]) -> Float[Tensor, ""]:
    """KL(uniform ‖ q), q being the mean of a cloud's code probabilities over its tokens; mean over clouds.

    0 where every code is used alike; it grows without bound as some code falls out of use.
    """
    num_codes = logits.shape[2]
    mean = wide(logits).log_softmax(2).logsumexp(1) - math.log(logits.shape[1])  # log q, [batch, codes]
    return (-math.log(num_codes) - mean.mean(1)).mean()


def cosine_between(step: int, first: float, last: float, num_steps: int, delay: int = 0) -> float:
    """The value at `step` of a half cosine from `first`, held for `delay` steps, to `last` over
    `num_steps`."""
    progress = min(max((step - delay) / num_steps, 0.0), 1.0)
    return last + (first - last) * (1 + math.cos(math.pi * progress)) / 2
