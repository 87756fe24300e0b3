"""Retrieval: each query ranks all shapes of a gallery by cosine, and should find the right ones first.

Figures are told beside what a random order would reach, as both depend on the size of the gallery and on how
many of its shapes are right.
"""

from bisect import bisect_left
from collections import Counter
from dataclasses import dataclass
from math import comb

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Float64, Int64
from torch import Tensor

DEPTHS = (1, 5, 10)
"""How many of the first shapes a recall looks at."""
DIGITS = 9
"""Cosines that agree to so many are equal: the last ones depend on how many rows a product has."""
TOGETHER = 64
"""Queries at a time: with 50,000 shapes their cosines and ranks fit into a tenth of a gigabyte."""


COLLAPSED = 0.99
"""Mean cosine of two shapes from which on they hardly differ: an angle of 8 degrees."""


@dataclass(frozen=True)
class Retrieved:
    """What every query found; shapes are told by their rows in the gallery."""

    first_right: Int64[Tensor, " queries"]
    """Rank of the first right shape, from 1 on."""
    num_right: Int64[Tensor, " queries"]
    nearest: Int64[Tensor, "queries shown"]
    cosines: Float64[Tensor, "queries shown"]
    """Of the nearest ones."""
    is_right: Bool[Tensor, "queries shown"]
    """Whether each of them is."""
    gallery_size: int


def mean_cosine(features: Float[Tensor, "shapes width"]) -> float:
    """The cosine of two different shapes, in the mean over all pairs; 0 of a single shape.

    Near 1, all shapes look alike to whoever searches: the features are collapsed, or nearly so.
    """
    directions = F.normalize(features.double(), dim=1)
    total = directions.sum(0)
    num_pairs = len(features) * (len(features) - 1)
    return float(total @ total - directions.square().sum()) / max(num_pairs, 1)


def search_gallery(
    queries: Float[Tensor, "queries width"],
    wanted: Int64[Tensor, " queries"],
    gallery: Float[Tensor, "shapes width"],
    found: Int64[Tensor, " shapes"],
    *,
    num_shown: int,
    together: int = TOGETHER,
) -> Retrieved:
    """The ranks that the queries give to a gallery, of which as many cosines are held as `together` have.

    A shape is right for a query where its number in `found` is that of the query in `wanted`; each query has
    at least one. Of shapes with equal cosines the first of the gallery comes first.
    """
    directions = F.normalize(gallery.double(), dim=1)
    shown = (len(queries), min(num_shown, len(gallery)))
    # made first: small tensors that stay, made between tables that go, would leave the heap full of holes
    whole = Retrieved(
        first_right=torch.empty(len(queries), dtype=torch.int64),
        num_right=torch.empty(len(queries), dtype=torch.int64),
        nearest=torch.empty(shown, dtype=torch.int64),
        cosines=torch.empty(shown, dtype=torch.float64),
        is_right=torch.empty(shown, dtype=torch.bool),
        gallery_size=len(gallery),
    )
    for rows in torch.arange(len(queries)).split(together):
        cosines = F.normalize(queries[rows].double(), dim=1) @ directions.T
        part = rank_at_once(cosines, wanted[rows], found, num_shown=num_shown)
        for name in ("first_right", "num_right", "nearest", "cosines", "is_right"):
            getattr(whole, name)[rows] = getattr(part, name)
    return whole


def rank_at_once(
    cosines: Float64[Tensor, "queries shapes"],
    wanted: Int64[Tensor, " queries"],
    found: Int64[Tensor, " shapes"],
    *,
    num_shown: int,
) -> Retrieved:
    """What some of the queries found, in tensors of their own: none keeps a table as wide as the gallery."""
    size, cosines = len(found), cosines.round(decimals=DIGITS)
    is_right = wanted.unsqueeze(1) == found
    order = cosines.argsort(dim=1, descending=True, stable=True)
    ranks = torch.empty_like(order).scatter_(1, order, torch.arange(1, size + 1).expand_as(order))
    first = ranks.masked_fill(~is_right, size + 1).amin(1)
    assert bool((first <= size).all()), "each query has a right shape"
    nearest = order[:, :num_shown].clone()  # a view would hold all ranks for as long as it is held itself
    return Retrieved(
        first, is_right.sum(1), nearest, cosines.gather(1, nearest), is_right.gather(1, nearest), size
    )


def retrieval_metrics(retrieved: Retrieved) -> dict[str, float]:
    """`recall_at_<k>`: the share of queries with a right shape among the first k; `median_rank`: among how
    many at least half of them have one; both for a random order too, as `chance/...`; and the sizes.
    """
    ranks = retrieved.first_right
    metrics = {f"recall_at_{depth}": float((ranks <= depth).double().mean()) for depth in DEPTHS}
    metrics["median_rank"] = float(ranks.median())  # of an even number of ranks the lower one
    chance = Chance(retrieved)
    metrics |= {f"chance/recall_at_{depth}": chance.recall(depth) for depth in DEPTHS}
    metrics["chance/median_rank"] = float(chance.median_rank())
    return metrics | {"queries": float(len(ranks)), "shapes": float(retrieved.gallery_size)}


class Chance:
    """What the same queries would find in a gallery in random order, computed exactly."""

    def __init__(self, retrieved: Retrieved) -> None:
        """Only the numbers of right shapes count."""
        self._size = retrieved.gallery_size
        self._num_right = Counter(retrieved.num_right.tolist())

    def recall(self, depth: int) -> float:
        """The expected share of queries with a right shape among the first `depth`.

        Of C(size, depth) sets of first shapes, C(size - right, depth) have none that is right.
        """
        depth = min(depth, self._size)
        every = comb(self._size, depth)
        missed = sum(n * comb(self._size - right, depth) / every for right, n in self._num_right.items())
        return 1 - missed / self._num_right.total()

    def median_rank(self) -> int:
        """The fewest first shapes among which at least half of the queries are expected to have one."""
        half = 0.5 - 1e-12  # a recall of a half may come out a rounding below it
        return 1 + bisect_left(range(1, self._size + 1), half, key=self.recall)
