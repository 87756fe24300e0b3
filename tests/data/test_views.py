"""Views of a sample, partial views, and subsets of a split: all functions of keys, whatever the batch."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from pydantic import ValidationError

from conftest import SCANS, SHAPES
from pointlab.config import validate
from pointlab.data.augmentation import AugmentationConfig
from pointlab.data.batches import (
    Recipe,
    evaluation_arrays,
    evaluation_batches,
    to_batch,
    training_arrays,
    view_batches,
)
from pointlab.data.cache import CachedSplit, open_split
from pointlab.data.dataset import DatasetConfig, find_prepared
from pointlab.data.partial_clouds import crop
from pointlab.data.subsets import few_per_class
from pointlab.errors import DataError
from pointlab.seeding import KeyedDraws
from pointlab.storage import Storage

PARTIAL = AugmentationConfig(rotation="full", jitter=0.01, crop=(0.5, 0.9))


def split_of(storage: Storage, settings: dict[str, Any]) -> CachedSplit:
    name = find_prepared(validate(DatasetConfig, settings, "test"), storage)
    assert name is not None
    return open_split(storage, name, "train")


def keyed(count: int, seed: int = 0) -> KeyedDraws:
    return KeyedDraws.of("test", seed, np.arange(count))


@pytest.mark.parametrize("settings", [SHAPES, SCANS], ids=["equal lengths", "differing lengths"])
def test_views_of_a_sample_are_the_same_whatever_else_is_in_the_batch(
    storage: Storage, settings: dict[str, Any]
) -> None:
    split = split_of(storage, settings)
    recipe = Recipe(3, 40, PARTIAL, ("normals", "rows"), num_views=2)
    together = training_arrays(split, np.arange(60), recipe)
    for position in (0, 21, 59):
        alone = training_arrays(split, np.array([position]), recipe)
        assert alone.keys() == together.keys()
        for key, values in alone.items():
            np.testing.assert_array_equal(values[0], together[key][position])


def test_the_first_view_is_the_sample_that_is_seen_alone(storage: Storage) -> None:
    split = split_of(storage, SHAPES)
    alone = Recipe(3, 40, AugmentationConfig(rotation="full"))
    single = to_batch(training_arrays(split, np.arange(8), alone))
    double = to_batch(training_arrays(split, np.arange(8), replace(alone, num_views=2)))
    assert torch.equal(double.points, single.points)
    (second,) = double.views
    assert torch.equal(second.ids, double.ids)
    assert second.labels is not None
    assert double.labels is not None
    assert torch.equal(second.labels, double.labels)
    assert not torch.equal(second.points, double.points)


def test_rows_lead_back_to_the_stored_points(storage: Storage) -> None:
    split = split_of(storage, SHAPES)
    still = AugmentationConfig(scale=(1, 1), translation=0)
    batch = to_batch(training_arrays(split, np.arange(6), Recipe(1, 40, still, ("rows",), num_views=2)))
    for view in (batch, *batch.views):
        assert view.rows is not None
        for cloud in range(6):
            (row,) = np.flatnonzero(split.ids == int(view.ids[cloud]))
            stored = split.arrays(int(row), ("points",))["points"]
            np.testing.assert_allclose(view.points[cloud], stored[view.rows[cloud]], atol=1e-6)
    assert not torch.equal(batch.rows, batch.views[0].rows)  # type: ignore[arg-type]


def test_a_crop_keeps_one_side_in_its_order_and_fills_the_unit_sphere() -> None:
    points = np.random.default_rng(0).normal(size=(5, 30, 3)).astype(np.float32)
    points[1, 20:] = 0
    rows = np.broadcast_to(np.arange(30), (5, 30)).copy()
    counts = np.array([30, 20, 30, 30, 30])
    shown, kept = crop({"points": points, "rows": rows}, counts, keyed(5), (0.4, 0.8))
    directions = keyed(5).normal("crop direction", 3)
    assert (np.ceil(0.4 * counts) <= kept).all()
    assert (kept <= np.ceil(0.8 * counts)).all()
    for cloud in range(5):
        chosen = shown["rows"][cloud, : kept[cloud]]
        assert (np.diff(chosen) > 0).all()
        heights = points[cloud, : counts[cloud]].astype(np.float64) @ directions[cloud]
        assert set(chosen) == set(np.argsort(-heights)[: kept[cloud]])
        part = shown["points"][cloud, : kept[cloud]]
        assert np.abs(part.mean(0)).max() < 1e-6
        assert np.linalg.norm(part, axis=1).max() == pytest.approx(1, abs=1e-6)
        source = points[cloud, chosen] - points[cloud, chosen].mean(0)
        np.testing.assert_allclose(part, source / np.linalg.norm(source, axis=1).max(), atol=1e-6)


def test_partial_views_are_padded_like_short_clouds(storage: Storage) -> None:
    batch = to_batch(
        training_arrays(
            split_of(storage, SHAPES), np.arange(9), Recipe(0, 40, PARTIAL, ("normals", "rows"), num_views=2)
        )
    )
    for view in (batch, *batch.views):
        assert int(view.counts.min()) >= 20
        assert int(view.counts.max()) <= 36
        padded = torch.arange(40) >= view.counts[:, None]
        assert view.rows is not None
        assert view.normals is not None
        assert not view.points[padded].any()
        assert not view.normals[padded].any()
        assert (view.rows[padded] == -1).all()
        assert (view.rows[~padded] >= 0).all()


def test_a_crop_of_nothing_or_more_than_all_is_refused() -> None:
    for shares in ((0.0, 0.5), (0.8, 0.5), (0.5, 1.2)):
        with pytest.raises(ValidationError, match="range of shares"):
            AugmentationConfig(crop=shares)


def test_validation_views_are_the_same_every_time_and_for_any_number_of_workers(storage: Storage) -> None:
    split = split_of(storage, SHAPES)
    recipe = Recipe(3, 40, PARTIAL, (), num_views=2)
    once, again = list(view_batches(split, 8, recipe)), list(view_batches(split, 8, recipe))
    shares = [list(view_batches(split, 8, recipe, rank=rank, world_size=2)) for rank in range(2)]
    for number, batch in enumerate(once):
        for other in (again[number], shares[number % 2][number // 2]):
            assert torch.equal(batch.points, other.points)
            assert torch.equal(batch.views[0].points, other.views[0].points)


def test_a_batch_moves_with_its_views() -> None:
    batch = to_batch(
        {"points": np.zeros((2, 4, 3), np.float32), "counts": np.array([4, 4]), "ids": np.arange(2)}
    )
    moved = replace(batch, views=(batch,)).to(torch.device("meta"))
    assert moved.points.device.type == moved.views[0].points.device.type == "meta"


def test_a_subset_has_so_many_of_each_class_and_smaller_ones_lie_within(storage: Storage) -> None:
    split = split_of(storage, SHAPES)
    names = tuple(str(label) for label in np.unique(split.labels))
    two, three = (few_per_class(split, count, 5, names) for count in (2, 3))
    assert np.bincount(split.labels[two]).tolist() == [2] * len(names)
    assert set(two) < set(three)
    assert set(two) != set(few_per_class(split, 2, 6, names))
    with pytest.raises(DataError, match="has 3 training clouds"):
        few_per_class(split, 4, 5, names)


def test_training_on_a_subset_shows_its_clouds_alone(storage: Storage) -> None:
    split = split_of(storage, SHAPES)
    subset = np.array([2, 5, 11])
    arrays = training_arrays(split, np.arange(9), Recipe(0, 40, AugmentationConfig(), subset=subset))
    for epoch in range(3):
        assert set(arrays["ids"][3 * epoch : 3 * epoch + 3]) == set(split.ids[subset])
    (batch,) = evaluation_batches(split, 8, 40, rows=subset)
    np.testing.assert_array_equal(batch.ids, split.ids[subset])
    np.testing.assert_array_equal(evaluation_arrays(split, subset, 40, ("rows",))["rows"][0], np.arange(40))
