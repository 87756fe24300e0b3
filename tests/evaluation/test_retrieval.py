"""Retrieval ranks as the definition says, whatever it holds at once, and knows what chance would give."""

from itertools import permutations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from pointlab.evaluation.retrieval import (
    Chance,
    Retrieved,
    mean_cosine,
    rank_at_once,
    retrieval_metrics,
    search_gallery,
)
from pointlab.experiment.retrieving import _note_on_collapse

QUERIES = torch.randn(7, 4, generator=torch.Generator().manual_seed(0))
GALLERY = torch.randn(12, 4, generator=torch.Generator().manual_seed(1))
FOUND = torch.tensor([0, 1, 2, 3, 4, 5, 6, 0, 1, 2, -1, -1])


def naive_ranks(queries: Tensor, wanted: Tensor, gallery: Tensor, found: Tensor) -> list[int]:
    ranks = []
    for query, number in zip(queries, wanted.tolist(), strict=True):
        cosines = [float(F.cosine_similarity(query, shape, dim=0)) for shape in gallery]
        ordered = sorted(range(len(gallery)), key=lambda row: (-cosines[row], row))
        ranks.append(1 + next(place for place, row in enumerate(ordered) if found[row] == number))
    return ranks


def with_right(*num_right: int, size: int) -> Retrieved:
    counts, none = torch.tensor(num_right), torch.empty(len(num_right), 0)
    return Retrieved(torch.ones_like(counts), counts, none.long(), none.double(), none.bool(), size)


@pytest.mark.parametrize("together", [1, 3, 256])
def test_ranks_are_those_of_the_definition_however_many_queries_are_held_at_once(together: int) -> None:
    wanted = torch.arange(7)
    retrieved = search_gallery(QUERIES, wanted, GALLERY, FOUND, num_shown=20, together=together)
    assert retrieved.first_right.tolist() == naive_ranks(QUERIES, wanted, GALLERY, FOUND)
    assert retrieved.num_right.tolist() == [2, 2, 2, 1, 1, 1, 1]
    assert retrieved.nearest.shape == (7, 12)
    cosines = F.cosine_similarity(QUERIES.unsqueeze(1), GALLERY[retrieved.nearest], dim=2)
    torch.testing.assert_close(retrieved.cosines, cosines.double(), atol=1e-6, rtol=0)
    metrics = retrieval_metrics(retrieved)
    assert metrics["recall_at_5"] == pytest.approx((retrieved.first_right <= 5).double().mean().item())
    assert metrics["recall_at_10"] >= metrics["recall_at_5"] >= metrics["recall_at_1"]
    assert (metrics["queries"], metrics["shapes"]) == (7, 12)


def test_what_is_kept_of_some_queries_is_not_as_wide_as_the_gallery() -> None:
    cosines = F.normalize(QUERIES.double(), dim=1) @ F.normalize(GALLERY.double(), dim=1).T
    part = rank_at_once(cosines, torch.arange(7), FOUND, num_shown=2)
    for kept in (part.first_right, part.num_right, part.nearest, part.cosines, part.is_right):
        assert kept.untyped_storage().nbytes() == kept.numel() * kept.element_size()


def test_of_equal_cosines_the_first_of_the_gallery_comes_first() -> None:
    same = torch.tensor([[0.3, 0.1, 0.7]])
    gallery = same.repeat(9, 1) * torch.arange(1, 10).unsqueeze(1)  # one direction, of many lengths
    retrieved = search_gallery(same, torch.tensor([1]), gallery, torch.tensor([0] * 4 + [1] * 5), num_shown=3)
    assert retrieved.nearest.tolist() == [[0, 1, 2]]
    assert retrieved.is_right.tolist() == [[False] * 3]
    assert retrieved.first_right.tolist() == [5]


def test_chance_is_the_mean_over_all_orders_of_the_gallery() -> None:
    size, num_right = 6, (1, 3)
    chance = Chance(with_right(*num_right, size=size))
    firsts = [1 + min(order[:right]) for order in permutations(range(size)) for right in num_right]
    for depth in range(1, size + 3):
        share = sum(first <= depth for first in firsts) / len(firsts)
        assert chance.recall(depth) == pytest.approx(share, abs=1e-12)
    assert chance.median_rank() == sorted(firsts)[(len(firsts) - 1) // 2]


def test_where_every_shape_is_right_chance_is_certain() -> None:
    metrics = retrieval_metrics(with_right(4, 4, size=4))
    assert metrics["chance/recall_at_1"] == metrics["recall_at_1"] == 1
    assert metrics["chance/median_rank"] == metrics["median_rank"] == 1


def test_the_mean_cosine_is_over_all_pairs_of_different_shapes() -> None:
    cosines = F.cosine_similarity(QUERIES[:, None], QUERIES[None], dim=-1)
    naive = (cosines.sum() - cosines.trace()) / (len(QUERIES) * (len(QUERIES) - 1))
    assert mean_cosine(QUERIES) == pytest.approx(float(naive), abs=1e-6)
    assert mean_cosine(QUERIES[:1].expand(5, -1)) == pytest.approx(1)
    assert mean_cosine(QUERIES[:1]) == pytest.approx(0, abs=1e-6)


def test_shapes_that_hardly_differ_are_noted_with_the_queries_that_find_them_so() -> None:
    assert _note_on_collapse({"text_to_shape": 0.98, "image_to_shape": 0.1}) == {}
    (told,) = _note_on_collapse({"text_to_shape": 0.9996, "image_to_shape": 0.1}).values()
    assert told.endswith("the cosine of two is 0.9996 (text to shape) in the mean")
