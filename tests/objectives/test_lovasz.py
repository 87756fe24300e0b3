"""Lovász-Softmax equals the Jaccard loss on sets, interpolates between them, and moves what it should."""

import itertools

import pytest
import torch
from torch import Tensor

from pointlab.objectives.lovasz import UNLABELLED, jaccard_steps, lovasz_softmax


def jaccard_loss(wrong: set[int], own: set[int]) -> float:
    """1 - intersection over union of a class whose points are `own`, if the points in `wrong` are wrong."""
    named = own.symmetric_difference(wrong)
    union = own | named
    return 1 - len(own & named) / len(union) if union else 0.0


def naive_extension(errors: list[float], own: set[int]) -> float:
    """The Lovász extension as an integral over thresholds of the loss of the points with errors above."""
    total, levels = 0.0, sorted({0.0, *errors})
    for low, high in itertools.pairwise(levels):
        total += (high - low) * jaccard_loss({n for n, error in enumerate(errors) if error > low}, own)
    return total


def naive(logits: Tensor, labels: Tensor) -> float:
    rows = [
        (scores.softmax(0), int(label)) for scores, label in zip(logits, labels, strict=True) if label >= 0
    ]
    present = sorted({label for _, label in rows})
    losses = []
    for own_class in present:
        own = {n for n, (_, label) in enumerate(rows) if label == own_class}
        errors = [float(p[own_class] if n not in own else 1 - p[own_class]) for n, (p, _) in enumerate(rows)]
        losses.append(naive_extension(errors, own))
    return sum(losses) / len(losses)


def test_on_every_set_of_wrong_points_the_extension_is_the_jaccard_loss() -> None:
    """All 2^6 sets, for classes of 1 to 6 points: with errors 0 and 1 the sum of steps is the set's loss."""
    for size in range(1, 7):
        is_own = (torch.arange(6) < size).float()
        for errors in itertools.product([0.0, 1.0], repeat=6):
            found, order = torch.tensor(errors).sort(descending=True)
            steps = jaccard_steps(is_own[order].unsqueeze(1)).squeeze(1)
            wrong = {n for n, error in enumerate(errors) if error}
            assert float((found * steps).sum()) == pytest.approx(
                jaccard_loss(wrong, set(range(size))), abs=1e-6
            )


def test_the_loss_equals_the_integral_over_thresholds() -> None:
    torch.manual_seed(0)
    logits, labels = torch.randn(30, 5), torch.randint(-1, 4, (30,))  # class 4 does not occur
    assert float(lovasz_softmax(logits, labels)) == pytest.approx(naive(logits, labels), abs=1e-6)


def test_for_one_point_of_each_of_two_classes_it_has_a_closed_form() -> None:
    """A class that is wrong at the other's point loses 1/2, one that is wrong at its own loses all."""
    logits = torch.tensor([[0.3, 0.7], [0.8, 0.2]]).log()
    first, second = 0.7, 0.8  # the errors at the two points, equal for both classes
    of_first_class = 0.5 * second + (1 - 0.5) * first  # the larger error comes first, at the other's point
    of_second_class = 1.0 * second  # and here at its own, so that the smaller one adds nothing
    expected = (of_first_class + of_second_class) / 2
    assert float(lovasz_softmax(logits, torch.tensor([0, 1]))) == pytest.approx(expected, abs=1e-6)


def test_certain_and_right_is_0_and_certain_and_wrong_is_1() -> None:
    labels = torch.tensor([0, 1, 2, 1])
    sure = 50 * torch.nn.functional.one_hot(labels, 3).float()
    assert float(lovasz_softmax(sure, labels)) == pytest.approx(0, abs=1e-6)
    assert float(lovasz_softmax(sure.roll(1, dims=1), labels)) == pytest.approx(1, abs=1e-6)


def test_gradients_are_those_of_finite_differences_and_points_without_a_label_have_none() -> None:
    torch.manual_seed(1)
    logits = torch.randn(8, 3, requires_grad=True)
    labels = torch.tensor([0, 1, UNLABELLED, 2, 0, 1, UNLABELLED, 0])
    lovasz_softmax(logits, labels).backward()
    assert logits.grad is not None
    assert torch.equal(logits.grad[labels == UNLABELLED], torch.zeros(2, 3))
    for place in ((0, 0), (3, 1), (7, 2)):
        shifted = [logits.detach().clone() for _ in range(2)]
        shifted[0][place] += 1e-2
        shifted[1][place] -= 1e-2
        slope = (naive(shifted[0], labels) - naive(shifted[1], labels)) / 2e-2
        assert float(logits.grad[place]) == pytest.approx(slope, abs=1e-4)


def test_without_a_label_there_is_nothing_to_learn() -> None:
    logits = torch.randn(4, 3, requires_grad=True)
    loss = lovasz_softmax(logits, torch.full((4,), UNLABELLED))
    loss.backward()
    assert float(loss.detach()) == 0
    assert torch.equal(logits.grad, torch.zeros(4, 3))  # type: ignore[arg-type]
