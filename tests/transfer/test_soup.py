"""Soups are means of their members, and the greedy one keeps what makes it better."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from pointlab.errors import TransferError
from pointlab.transfer.soup import Members, Tasting, average, taste_greedily, taste_uniformly


def model(value: float, count: int = 1) -> dict[str, Tensor]:
    return {
        "weight": torch.full((2, 3), value),
        "running_mean": torch.tensor([value, -value]),
        "num_batches_tracked": torch.tensor(count),
    }


def test_a_uniform_soup_is_the_mean_and_copies_counters_of_the_first() -> None:
    soup = average([model(1.0, 7), model(2.0, 8), model(6.0, 9)])
    assert torch.equal(soup["weight"], torch.full((2, 3), 3.0))
    assert torch.equal(soup["running_mean"], torch.tensor([3.0, -3.0]))
    assert torch.equal(soup["num_batches_tracked"], torch.tensor(7))
    assert soup["weight"].dtype == torch.float32


def test_a_soup_of_equal_models_is_that_model_whatever_their_number() -> None:
    draw = torch.Generator().manual_seed(0)
    one = {"weight": torch.randn(1000, generator=draw)}
    for number in (1, 3, 7):
        assert torch.equal(average([one] * number)["weight"], one["weight"])


def test_a_soup_has_memory_of_its_own() -> None:
    one = model(1.0)
    soup = average([one])
    for name, tensor in soup.items():
        tensor.add_(1)
        assert not torch.equal(one[name], tensor)


@pytest.mark.parametrize(
    ("spoil", "name"),
    [
        (lambda state: state.pop("weight"), "weight is in 2 of 3"),
        (lambda state: state.update(extra=torch.zeros(1)), "extra is in 1 of 3"),
        (lambda state: state.update(weight=torch.zeros(7)), "weight is torch.float32"),
        (lambda state: state.update(weight=torch.zeros(2, 3).double()), "torch.float64"),
    ],
)
def test_models_that_do_not_agree_are_refused_by_name(spoil: Callable[[Any], Any], name: str) -> None:
    models = [model(1.0), model(2.0), model(3.0)]
    spoil(models[2])
    with pytest.raises(TransferError, match=name):
        average(models)


def tasted(scores: dict[Members, float]) -> list[Tasting]:
    """What the greedy recipe tries where soups have these scores."""
    num_ingredients = sum(len(members) == 1 for members in scores)
    return taste_greedily(num_ingredients, scores.__getitem__)


def test_the_greedy_soup_begins_with_the_best_and_goes_on_by_rank() -> None:
    tastings = tasted({(0,): 0.5, (1,): 0.9, (2,): 0.7, (1, 2): 0.95, (1, 2, 0): 0.96})
    assert [tasting.members for tasting in tastings] == [(0,), (1,), (2,), (1, 2), (1, 2, 0)]
    assert [tasting.is_kept for tasting in tastings] == [False, True, False, True, True]


def test_what_makes_a_soup_worse_is_left_out_of_all_that_follow() -> None:
    tastings = tasted({(0,): 0.9, (1,): 0.8, (2,): 0.7, (0, 1): 0.85, (0, 2): 0.91})
    assert [tasting.members for tasting in tastings if tasting.is_kept] == [(0,), (0, 2)]


def test_an_equal_score_is_no_reason_to_keep() -> None:
    tastings = tasted({(0,): 0.9, (1,): 0.8, (0, 1): 0.9})
    assert [tasting.members for tasting in tastings if tasting.is_kept] == [(0,)]


def test_of_equal_ingredients_the_first_is_tried_first() -> None:
    tastings = tasted({(0,): 0.5, (1,): 0.8, (2,): 0.8, (1, 2): 0.9, (1, 2, 0): 0.1})
    assert [tasting.members for tasting in tastings[3:]] == [(1, 2), (1, 2, 0)]


def test_the_greedy_soup_is_at_least_as_good_as_its_best_ingredient() -> None:
    draw = torch.Generator().manual_seed(0)
    for _ in range(20):
        values = torch.rand(4, generator=draw).tolist()

        def score(members: Members, values: list[float] = values) -> float:
            return abs(sum(values[number] for number in members) / len(members) - 0.5)

        kept = [tasting for tasting in taste_greedily(4, score) if tasting.is_kept]
        assert kept[-1].score == max(tasting.score for tasting in kept)
        assert kept[-1].score >= max(score((number,)) for number in range(4))


def test_the_uniform_soup_keeps_everything_whatever_its_score() -> None:
    scores = {(0,): 0.9, (1,): 0.2, (2,): 0.4, (0, 1, 2): 0.1}
    tastings = taste_uniformly(3, scores.__getitem__)
    assert [(tasting.members, tasting.is_kept) for tasting in tastings] == [
        ((0,), False),
        ((1,), False),
        ((2,), False),
        ((0, 1, 2), True),
    ]
