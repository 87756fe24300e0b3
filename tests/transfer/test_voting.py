"""Voting: the mean of logits over views, the same every time, beside the figure without."""

from typing import Any

import pytest
import torch
from test_transfer import two_ends
from torch import nn

from conftest import tiny_transfer
from pointlab.data.sample import PointBatch
from pointlab.errors import ConfigError
from pointlab.launch import run
from pointlab.storage import Record, Storage
from pointlab.transfer.voting import vote

NOTHING_DRAWN = {"scale": [1, 1], "translation": 0, "random_subset": False}


def clouds(seed: int, size: int = 6) -> dict[str, torch.Tensor]:
    draw = torch.Generator().manual_seed(seed)
    return {"points": torch.randn(size, 5, 3, generator=draw), "counts": torch.full((size,), 5)}


def batch_of(num_views: int) -> PointBatch:
    shared = {"ids": torch.arange(6), "labels": torch.arange(6) % 2}
    views = tuple(PointBatch(**clouds(seed), **shared) for seed in range(1, num_views))
    return PointBatch(**clouds(0), **shared, views=views)


def voted(storage: Storage, **changes: Any) -> Record:
    record = run(tiny_transfer(storage, protocol="linear_probe", **changes)).record
    assert record is not None
    return record


def test_a_vote_is_the_mean_of_the_logits_of_all_views() -> None:
    backbone, _ = two_ends()
    head, batch = nn.Sequential(nn.Linear(4, 2), nn.Dropout(0.5)), batch_of(4)
    logits, labels = vote(backbone, head, [batch], torch.device("cpu"))
    with torch.no_grad():
        expected = sum(head(backbone(view).pooled) for view in (batch, *batch.views)) / 4
    assert torch.allclose(logits, expected, atol=1e-6)
    assert torch.equal(labels, batch.labels)


def test_the_voted_figure_stands_beside_the_one_without_and_is_stamped(storage: Storage) -> None:
    plain, first = voted(storage), voted(storage, voting={"votes": 3})
    again = run(tiny_transfer(storage, protocol="linear_probe", voting={"votes": 3}), rerun=True).record
    assert again is not None
    assert first.protocol == "linear_probe/voting-3"
    added = first.metrics.keys() - plain.metrics.keys()
    assert {"test/voted_accuracy", "shifted-test/voted_mean_class_accuracy"} <= added
    assert {name: first.metrics[name] for name in plain.metrics} == plain.metrics
    assert again.metrics == first.metrics
    assert first.run != plain.run


def test_a_vote_of_views_that_are_the_cloud_itself_changes_nothing(storage: Storage) -> None:
    record = voted(storage, voting={"votes": 2, "augmentation": NOTHING_DRAWN})
    assert record.metrics["test/voted_accuracy"] == record.metrics["test/accuracy"]


def test_the_figures_that_are_announced_are_there_and_no_vote_is_told_where_none_is_held(
    storage: Storage,
) -> None:
    asked = tiny_transfer(storage, protocol="linear_probe", voting={"votes": 3})
    assert {"test/voted_accuracy", "shifted-test/voted_accuracy"} <= set(asked.accuracies)
    assert set(asked.accuracies) <= voted(storage, voting={"votes": 3}).metrics.keys()
    closed = tiny_transfer(storage, protocol="linear_probe", voting={"votes": 3}, test=False)
    assert closed.stamp == "linear_probe"
    assert not any("voted" in name for name in closed.accuracies)


def test_views_too_small_for_the_patches_are_refused_when_it_is_written(storage: Storage) -> None:
    voting = {"votes": 2, "augmentation": {"crop": [0.1, 0.5]}}
    with pytest.raises(ConfigError, match=r"voting\.augmentation\.crop is .*as few as 5 of 48 points"):
        tiny_transfer(storage, protocol="linear_probe", voting=voting)


def test_a_single_vote_is_refused(storage: Storage) -> None:
    with pytest.raises(ConfigError, match="greater than or equal to 2"):
        tiny_transfer(storage, voting={"votes": 1})
