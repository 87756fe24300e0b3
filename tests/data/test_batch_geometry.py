"""What a batch remembers of its points: by how it was found, and only in this very object."""

import copy
import pickle
from collections.abc import Callable
from dataclasses import fields, replace

import pytest
import torch
from torch import Tensor

from pointlab.data.sample import PointBatch

MADE: dict[str, Callable[[PointBatch], PointBatch]] = {
    "replace": lambda batch: replace(batch, labels=torch.zeros(2, dtype=torch.int64)),
    "to": lambda batch: batch.to(torch.device("cpu")),
    "copy": copy.copy,
    "deepcopy": copy.deepcopy,
    "pickle": lambda batch: pickle.loads(pickle.dumps(batch)),
}


class Centroid:
    """Means of real points times a scale; a result is an object of its own, as in all that is remembered."""

    def __init__(self, points: Tensor, counts: Tensor, scale: float = 1.0) -> None:
        self.places = scale * points.sum(1) / counts.unsqueeze(1)


def random_batch() -> PointBatch:
    points = torch.randn(2, 5, 3, generator=torch.Generator().manual_seed(0))
    return PointBatch(points, torch.tensor([5, 5]), torch.arange(2))


def test_a_batch_remembers_what_was_found_with_the_same_settings() -> None:
    batch = random_batch()
    found = batch.geometry(Centroid, 2.0)
    torch.testing.assert_close(found.places, 2 * batch.points.mean(1))
    assert batch.geometry(Centroid, 2.0) is found
    others = [batch.geometry(Centroid), batch.geometry(Centroid, 3.0), batch.geometry(Centroid, scale=3.0)]
    assert len({id(one) for one in [found, *others]}) == 4
    torch.testing.assert_close(others[1].places, 3 * batch.points.mean(1))


@pytest.mark.parametrize("make", MADE.values(), ids=MADE)
def test_a_batch_made_of_another_remembers_nothing(make: Callable[[PointBatch], PointBatch]) -> None:
    batch = random_batch()
    found = batch.geometry(Centroid)
    made = make(batch)
    assert torch.equal(made.points, batch.points)
    assert made.geometry(Centroid) is not found
    assert batch.geometry(Centroid) is found


def test_what_is_remembered_is_no_part_of_the_batch() -> None:
    batch = random_batch()
    shown, packed, names = repr(batch), pickle.dumps(batch), [field.name for field in fields(batch)]
    batch.geometry(Centroid)
    assert (repr(batch), pickle.dumps(batch)) == (shown, packed)
    assert [field.name for field in fields(batch)] == names
    assert batch == replace(batch)
