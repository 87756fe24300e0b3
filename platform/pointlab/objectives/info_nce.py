"""InfoNCE in three forms: which of many keys belongs to a query, by cross-entropy over their cosines.

* `nt_xent`: two views of every sample, and all other views are negatives (SimCLR: Chen et al., "A Simple
  Framework for Contrastive Learning of Visual Representations", ICML 2020, equation 1).
* `queue_info_nce`: negatives are keys of earlier steps (MoCo: He et al., "Momentum Contrast for Unsupervised
  Visual Representation Learning", CVPR 2020, equation 1).
* `paired_info_nce`: negatives are the keys of the other pairs (of points and pixels in PPKT: Liu et al.,
  "Learning from 2D: Contrastive Pixel-to-Point Knowledge Transfer for 3D Pretraining", arXiv 2104.04687);
  `point_info_nce` is the same for points of clouds (PointInfoNCE: Xie et al., "PointContrast: Unsupervised
  Pre-training for 3D Point Cloud Understanding", ECCV 2020, equation 2).

All take rows of unit length. Cosines and softmax are computed in float32 at least, under autocast too: just
below 1 the numbers of bfloat16 are 1/256 apart, which a temperature of 0.07 makes 6 % of a probability.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int64
from torch import Tensor


@dataclass(frozen=True)
class Contrast:
    """The mean loss of the queries, and the share of them whose positive is nearer than any other key."""

    loss: Float[Tensor, ""]
    top_1: Float[Tensor, ""]


@dataclass(frozen=True)
class CloudsOfPairs:
    """Which of `number` clouds each pair of points belongs to."""

    of_pairs: Int64[Tensor, " pairs"]
    number: int

    @property
    def sizes(self) -> Int64[Tensor, " clouds"]:
        """How many pairs each cloud has."""
        return torch.bincount(self.of_pairs, minlength=self.number)


def nt_xent(
    own: Float[Tensor, "own 2 width"],
    everyone: Float[Tensor, "all 2 width"],
    start: int,
    temperature: float,
) -> Contrast:
    """NT-Xent of the views in `own`, which are the rows of `everyone` from `start` on.

    Each of the own views is a query in turn. Its positive is the other view of its sample; its negatives are
    all further views of `everyone`, so 2N - 2 with N samples. Equal features give log(2N - 1).
    """
    num_samples = len(everyone)
    first = start + torch.arange(len(own), device=own.device)
    itself, positive = torch.cat([first, first + num_samples]), torch.cat([first + num_samples, first])
    scores = _scores(_one_view_after_the_other(own), _one_view_after_the_other(everyone), temperature)
    is_itself = itself.unsqueeze(1) == torch.arange(2 * num_samples, device=own.device)
    return _classified(scores.masked_fill(is_itself, -torch.inf), positive)


def queue_info_nce(
    queries: Float[Tensor, "rows width"],
    keys: Float[Tensor, "rows width"],
    queue: Float[Tensor, "queue width"],
    temperature: float,
) -> Contrast:
    """InfoNCE of each query, whose positive is its key and whose negatives are all rows of `queue`."""
    of_positive = (_wide(queries) * _wide(keys)).sum(1, keepdim=True) / temperature
    scores = torch.cat([of_positive, _scores(queries, queue, temperature)], dim=1)
    return _classified(scores, torch.zeros(len(queries), dtype=torch.long, device=queries.device))


def paired_info_nce(
    queries: Float[Tensor, "pairs width"],
    everyone: Float[Tensor, "keys width"],
    temperature: float,
    start: int = 0,
) -> Contrast:
    """InfoNCE of each query against all keys; its own is that row of `everyone`, counted from `start`.

    Without a query it is zero, which depends on the keys: other workers wait for their gradients.
    """
    scores = _scores(queries, everyone, temperature)
    if len(queries) == 0:
        return Contrast(scores.sum(), scores.detach().sum())
    return _classified(scores, start + torch.arange(len(queries), device=queries.device))


def point_info_nce(
    queries: Float[Tensor, "pairs width"],
    everyone: Float[Tensor, "keys width"],
    start: int,
    clouds: CloudsOfPairs,
    temperature: float,
) -> Contrast:
    """InfoNCE of each query against all keys: the mean over clouds of each one's mean over its pairs.

    The keys of the queries are the rows of `everyone` from `start` on. All clouds count alike, so that shares
    of a batch add up to the whole. A cloud without pairs counts as zero; the zero depends on queries and
    keys, as other workers wait for its gradients.
    """
    positive = start + torch.arange(len(queries), device=queries.device)
    scores = _scores(queries, everyone, temperature)
    losses = F.cross_entropy(scores, positive, reduction="none")
    weights = 1 / (clouds.number * clouds.sizes[clouds.of_pairs]).to(losses.dtype)
    return Contrast((weights * losses).sum(), (weights * _is_nearest(scores, positive)).sum())


def _one_view_after_the_other(views: Tensor) -> Tensor:
    return views.transpose(0, 1).flatten(0, 1)  # [2 · samples, width]


def _wide(rows: Tensor) -> Tensor:
    return rows.to(torch.promote_types(rows.dtype, torch.float32))


def _scores(queries: Tensor, keys: Tensor, temperature: float) -> Tensor:
    """Cosines over the temperature, [queries, keys]."""
    with torch.autocast(queries.device.type, enabled=False):
        return _wide(queries) @ _wide(keys).T / temperature


def _classified(scores: Float[Tensor, "queries keys"], positive: Int64[Tensor, " queries"]) -> Contrast:
    return Contrast(F.cross_entropy(scores, positive), _is_nearest(scores, positive).mean())


def _is_nearest(scores: Float[Tensor, "queries keys"], positive: Int64[Tensor, " queries"]) -> Tensor:
    """1 where the positive scores higher than every other key; a tie, as of collapsed features, is no hit."""
    own = scores.detach().gather(1, positive.unsqueeze(1))
    return ((scores.detach() >= own).sum(1) == 1).float()
