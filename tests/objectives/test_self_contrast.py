"""The contrast within a batch: its value by hand, and against a loop over clouds."""

import math

import pytest
import torch
from torch import Tensor

from pointlab.objectives.self_contrast import self_contrast


def naive(features: Tensor, groups: list[int], temperature: float) -> float:
    rows, losses = [row / row.norm() for row in features], []
    for own, row in enumerate(rows):
        scores = [float(row @ other) / temperature for other in rows]
        is_own = [n == own or (groups[n] == groups[own] != -1) for n in range(len(rows))]
        positives = [score for score, own in zip(scores, is_own, strict=True) if own]
        positive = sum(positives) / len(positives)
        negatives = [score for score, own in zip(scores, is_own, strict=True) if not own]
        losses.append(-positive + math.log(sum(math.exp(score) for score in (positive, *negatives))))
    return sum(losses) / len(losses)


def test_it_is_the_mean_cross_entropy_of_a_group_against_all_others() -> None:
    features = torch.randn(7, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    groups = [3, -1, 3, 0, -1, 3, 0]  # two that belong nowhere are no group
    found = self_contrast(features, torch.tensor(groups), 0.1)
    assert found.item() == pytest.approx(naive(features, groups, 0.1), rel=1e-12)


def test_two_of_a_kind_and_one_across_cost_what_they_do_by_hand() -> None:
    features = torch.tensor([[2.0, 0.0], [5.0, 0.0], [0.0, 1.0]])
    found = self_contrast(features, torch.tensor([8, 8, 2]), 1.0)
    expected = (2 * math.log(1 + math.exp(-1)) + math.log(1 + 2 * math.exp(-1))) / 3
    assert found.item() == pytest.approx(expected)


def test_a_batch_of_one_group_has_nothing_to_learn() -> None:
    features = torch.randn(4, 3, generator=torch.Generator().manual_seed(0)).requires_grad_()
    loss = self_contrast(features, torch.zeros(4, dtype=torch.int64), 0.1)
    loss.backward()
    assert loss.item() == pytest.approx(0, abs=1e-6)
    assert features.grad is not None
    assert features.grad.abs().max() < 1e-6
