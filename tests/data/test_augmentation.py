"""Augmentation is a function of its key, and does to normals what it does to points."""

from typing import Any

import numpy as np
import pytest

from conftest import SCANS, SHAPES
from pointlab import seeding
from pointlab.config import validate
from pointlab.data.augmentation import AugmentationConfig, augment, choose_points, draw_rotations
from pointlab.data.batches import Recipe, evaluation_arrays, training_arrays
from pointlab.data.cache import open_split
from pointlab.data.dataset import DatasetConfig, find_prepared
from pointlab.seeding import KeyedDraws
from pointlab.storage import Storage

WHOLE = AugmentationConfig(random_subset=False)
SUBSET = AugmentationConfig(random_subset=True)


def draws(*key: int, count: int = 1) -> KeyedDraws:
    return KeyedDraws.of("test", *key, np.arange(count))


def plane(num_points: int = 64) -> dict[str, np.ndarray]:
    points = np.random.default_rng(0).normal(size=(1, num_points, 3)).astype(np.float32)
    points[..., 1] = 0.5 * points[..., 0] - 0.25 * points[..., 2]
    normal = np.array([-0.5, 1, 0.25]) / np.linalg.norm([-0.5, 1, 0.25])
    return {"points": points, "normals": np.tile(normal, (1, num_points, 1)).astype(np.float32)}


def test_equal_keys_give_equal_clouds_and_each_part_of_a_key_counts() -> None:
    config = AugmentationConfig(rotation="full", jitter=0.01)
    cloud = augment(plane(), config, draws(1, 2, 3))["points"]
    assert np.array_equal(cloud, augment(plane(), config, draws(1, 2, 3))["points"])
    for other in [(0, 2, 3), (1, 0, 3), (1, 2, 0)]:
        assert not np.array_equal(cloud, augment(plane(), config, draws(*other))["points"])


def test_draws_of_one_kind_do_not_move_those_of_another() -> None:
    plain = augment(plane(), AugmentationConfig(translation=0), draws(4))["points"]
    moved = augment(plane(), AugmentationConfig(translation=0.2), draws(4))["points"]
    np.testing.assert_allclose(np.diff(moved, axis=1), np.diff(plain, axis=1), atol=1e-6)


def test_normals_stay_normal_under_rotation_and_anisotropic_scale() -> None:
    moved = augment(plane(), AugmentationConfig(rotation="full"), draws(0))
    edges = moved["points"][0, 1:] - moved["points"][0, 0]
    assert np.abs((edges * moved["normals"][0, 0]).sum(1)).max() < 1e-5
    assert np.allclose(np.linalg.norm(moved["normals"], axis=2), 1, atol=1e-6)


@pytest.mark.parametrize("kind", ["none", "vertical", "full"])
def test_rotations_are_proper_and_vertical_ones_keep_height(kind: Any) -> None:
    for rotation in draw_rotations(draws(5, count=20), kind):
        assert np.allclose(rotation @ rotation.T, np.eye(3), atol=1e-12)
        assert np.linalg.det(rotation) == pytest.approx(1)
        if kind != "full":
            assert np.allclose(rotation[1], [0, 1, 0])


def test_full_rotations_are_uniform() -> None:
    axes = draw_rotations(draws(6, count=2000), "full")[:, :, 2]
    assert np.abs(axes.mean(0)).max() < 0.06
    assert np.abs((axes**2).mean(0) - 1 / 3).max() < 0.03


def test_scale_and_translation_stay_within_their_ranges() -> None:
    corners = np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1]], np.float32)
    config = AugmentationConfig(scale=(0.5, 2.0), translation=0.3)
    moved = augment({"points": np.tile(corners, (500, 1, 1))}, config, draws(0, count=500))["points"]
    assert np.abs(moved[:, 0]).max() <= 0.3
    factors = np.diagonal(moved[:, 1:] - moved[:, :1], axis1=1, axis2=2)
    assert 0.5 - 1e-6 <= factors.min() < 0.55
    assert 1.9 < factors.max() <= 2.0 + 1e-6


def test_jitter_has_the_deviation_that_is_asked_for() -> None:
    config = AugmentationConfig(scale=(1, 1), translation=0, jitter=0.02)
    noise = augment({"points": np.zeros((50, 400, 3), np.float32)}, config, draws(1, count=50))["points"]
    assert noise.std() == pytest.approx(0.02, rel=0.02)
    assert abs(noise.mean()) < 0.0005


def test_a_subset_is_drawn_from_the_front_of_the_stored_order() -> None:
    chosen = choose_points(draws(0, count=300), np.full(300, 100), 50, SUBSET)
    assert all(len(set(rows)) == 50 for rows in chosen)
    assert chosen.max() == 59
    shares = np.bincount(chosen.reshape(-1), minlength=60) / 300
    np.testing.assert_allclose(shares, 50 / 60, atol=0.1)  # each of the front 60 as often as the others
    assert not np.array_equal(np.sort(chosen[0]), np.arange(50))
    assert np.abs(chosen.mean(0) - 29.5).max() < 5  # in random order


def test_too_few_points_are_kept_in_order_and_never_repeated() -> None:
    chosen = choose_points(draws(0, count=3), np.array([10, 64, 100]), 64, SUBSET)
    assert chosen[0, :10].tolist() == list(range(10))
    assert chosen[1].tolist() == list(range(64))
    assert len(set(chosen[2])) == 64
    assert chosen[2].max() > 64


@pytest.mark.parametrize("settings", [SHAPES, SCANS], ids=["equal lengths", "differing lengths"])
def test_a_sample_is_the_same_whatever_else_is_in_its_batch(
    storage: Storage, settings: dict[str, Any]
) -> None:
    name = find_prepared(validate(DatasetConfig, settings, "test"), storage)
    assert name is not None
    split = open_split(storage, name, "train")
    recipe = Recipe(3, 40, AugmentationConfig(rotation="full", jitter=0.01), ("normals", "point_labels"))
    together = training_arrays(split, np.arange(100), recipe)
    assert together["points"].shape == (100, 40, 3)
    for position in (0, 41, 63, 64, 99):
        alone = training_arrays(split, np.array([position]), recipe)
        for key, values in alone.items():
            np.testing.assert_array_equal(values[0], together[key][position])


def test_padding_is_zero_and_belongs_to_no_part(storage: Storage) -> None:
    name = find_prepared(validate(DatasetConfig, SCANS, "test"), storage)
    assert name is not None
    split = open_split(storage, name, "train")
    recipe = Recipe(0, 96, AugmentationConfig(), ("point_labels",))
    for arrays in (
        training_arrays(split, np.arange(20), recipe),
        evaluation_arrays(split, np.arange(20), 96, ("point_labels",)),
    ):
        assert arrays["counts"].tolist() == [64] * 20  # as many as are prepared
        assert not arrays["points"][:, 64:].any()
        assert (arrays["point_labels"][:, 64:] == -1).all()
        assert (arrays["point_labels"][:, :64] >= 0).all()


def test_keyed_numbers_are_uniform_independent_and_reproducible() -> None:
    table = KeyedDraws.of("u", 7, np.arange(2000)).uniform("x", 50)
    assert table.min() >= 0
    assert table.max() < 1
    assert table.mean() == pytest.approx(0.5, abs=0.005)
    assert table.var() == pytest.approx(1 / 12, rel=0.02)
    for other in (
        np.roll(table, 1, 0),
        np.roll(table, 1, 1),
        KeyedDraws.of("u", 8, np.arange(2000)).uniform("x", 50),
    ):
        assert abs(np.corrcoef(table.reshape(-1), other.reshape(-1))[0, 1]) < 0.015
    one = KeyedDraws.of("u", 7, np.array([1234])).uniform("x", 50)
    np.testing.assert_array_equal(one[0], table[1234])
    assert KeyedDraws.of("u", 7, np.array([3])).bits("x", 1)[0, 0] == 0x38B9709E42CA88D3  # on any machine


def test_a_stream_is_that_of_splitmix64() -> None:
    states = np.uint64(1234567) + np.arange(1, 4, dtype=np.uint64) * seeding._GAMMA
    published = [6457827717110365317, 3203168211198807973, 9817491932198370423]
    assert seeding._mixed(states).tolist() == published
