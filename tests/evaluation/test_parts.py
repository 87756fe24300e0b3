"""Part segmentation: the IoU of shapes and its means, against a naive count and cases known by hand."""

import numpy as np
import pytest
import torch

from pointlab.data.catalogue.shapenet import PART_COUNTS, PART_NAMES
from pointlab.evaluation.parts import part_metrics, parts_by_class, shape_iou


def scores_of(named: list[int], num_parts: int) -> torch.Tensor:
    return torch.eye(num_parts)[torch.tensor(named)]


def naive_iou(scores: np.ndarray, labels: np.ndarray, own: tuple[int, ...]) -> float:
    total = 0.0
    named = [max(own, key=lambda part, row=row: (row[part], -part)) for row in scores]
    for part in own:
        both = sum(n == part and truth == part for n, truth in zip(named, labels, strict=True))
        either = sum(part in (n, truth) for n, truth in zip(named, labels, strict=True) if truth >= 0)
        total += both / either if either else 1.0
    return total / len(own)


@pytest.mark.parametrize("seed", range(5))
def test_the_iou_of_a_shape_is_that_of_a_naive_count(seed: int) -> None:
    source = np.random.default_rng(seed)
    own = (2, 3, 5)
    scores, labels = source.normal(size=(30, 7)).astype(np.float32), source.choice([-1, *own[:2]], 30)
    found = shape_iou(torch.from_numpy(scores), torch.from_numpy(labels), own)
    assert found == pytest.approx(naive_iou(scores, labels, own))


@pytest.mark.parametrize(
    ("named", "labels", "iou"),
    [
        ([0, 0, 1, 1], [0, 0, 1, 1], 1.0),
        ([0, 0, 0, 0], [0, 0, 0, 0], 1.0),  # the absent part counts as right
        ([0, 0, 0, 1], [0, 0, 0, 0], (3 / 4 + 0) / 2),
        ([1, 1, 0, 0], [0, 0, 1, 1], 0.0),
        ([0, 0, 1, 1], [0, 1, 1, -1], (1 / 2 + 1 / 2) / 2),
    ],
)
def test_shapes_known_by_hand(named: list[int], labels: list[int], iou: float) -> None:
    assert shape_iou(scores_of(named, 2), torch.tensor(labels), (0, 1)) == pytest.approx(iou)


def test_parts_of_other_categories_are_never_given() -> None:
    """However sure a network is of them, as in the papers."""
    scores = torch.tensor([[9.0, 0.0, 0.2, 0.1], [9.0, 0.0, 0.1, 0.2]])
    assert shape_iou(scores, torch.tensor([2, 3]), (2, 3)) == 1.0


def test_the_mean_over_categories_is_not_that_over_shapes() -> None:
    figures = part_metrics([1.0, 0.5, 0.6], [0, 2, 2], ["chair", "lamp", "table"])
    assert figures == pytest.approx(
        {
            "instance_miou": 0.7,
            "class_miou": (1.0 + 0.55) / 2,
            "class_iou/chair": 1.0,
            "class_iou/table": 0.55,
        }
    )


def test_categories_have_the_parts_that_are_named_after_them() -> None:
    assert parts_by_class(["lamp", "chair"], ["chair:leg", "lamp:foot", "chair:seat"]) == ((1,), (0, 2))
    official = parts_by_class(tuple(PART_COUNTS), PART_NAMES)
    assert official is not None
    assert [len(parts) for parts in official] == list(PART_COUNTS.values())
    assert sorted(part for parts in official for part in parts) == list(range(50))


@pytest.mark.parametrize(
    "names", [["floor", "wall"], ["chair:leg"], ["chair:leg", "lamp:foot", "bed:head"], ["chair", "lamp"]]
)
def test_parts_that_belong_to_no_category_have_no_such_figures(names: list[str]) -> None:
    assert parts_by_class(["chair", "lamp"], names) is None
