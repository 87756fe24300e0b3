"""Scenes are bent, mirrored, cut and recoloured by keyed draws, and what belongs to a point stays with it."""

from itertools import product

import numpy as np
import pytest
from pydantic import ValidationError

from conftest import SCANS
from pointlab.config import validate
from pointlab.data.augmentation import AugmentationConfig, augment, draw_copy
from pointlab.data.batches import Recipe, training_arrays
from pointlab.data.cache import CachedSplit, open_split
from pointlab.data.dataset import DatasetConfig, find_prepared
from pointlab.data.elastic import MARGIN, NOISE_BITS, bend
from pointlab.data.partial_clouds import drop_cuboid
from pointlab.errors import DataError
from pointlab.experiment.resolve import definition
from pointlab.seeding import KeyedDraws
from pointlab.storage import Storage

STILL = {"scale": (1, 1), "translation": 0}


@pytest.fixture
def split(storage: Storage) -> CachedSplit:
    name = find_prepared(validate(DatasetConfig, SCANS, "test"), storage)
    assert name is not None
    return open_split(storage, name, "train")


def draws(count: int, *key: int) -> KeyedDraws:
    return KeyedDraws.of("test", *key, np.arange(count))


def room(count: int = 1, num_points: int = 400) -> dict[str, np.ndarray]:
    """Points of a cuboid of 4 by 2 by 3 metres, with their places as rows."""
    points = np.random.default_rng(0).random((count, num_points, 3)) * [4, 2, 3]
    rows = np.broadcast_to(np.arange(num_points), (count, num_points)).copy()
    return {"points": points.astype(np.float32), "rows": rows}


def test_runs_without_these_settings_keep_their_identity() -> None:
    counted = definition(AugmentationConfig(), {}.__getitem__)
    assert set(counted) == {"rotation", "scale", "translation", "jitter", "crop", "random_subset"}


def test_bending_equals_smoothed_noise_between_the_nodes_of_a_grid() -> None:
    granularity, magnitude = 0.5, 0.7
    arrays, keyed = room(2, 20), draws(2, 3)
    bent = bend(arrays, np.array([20, 20]), keyed, (granularity, magnitude))["points"]
    for cloud in range(2):
        points = arrays["points"][cloud].astype(np.float64)
        places = (points - points.min(0)) / granularity
        shape = np.floor(places.max(0)).astype(int) + 2 + 2 * MARGIN
        bits = KeyedDraws(keyed.roots[cloud : cloud + 1]).bits("elastic", int(shape.prod())).reshape(shape)
        for point, place in enumerate(places):
            offset = np.zeros(3)
            for corner in product((0, 1), repeat=3):
                node = np.floor(place).astype(int) + corner
                share = np.prod(1 - np.abs(place - node))
                offset += share * _smoothed(bits, node)
            np.testing.assert_allclose(bent[cloud, point], points[point] + magnitude * offset, atol=2e-6)


def _smoothed(bits: np.ndarray, node: np.ndarray) -> np.ndarray:
    """Two means of three along each axis are weights 1 2 3 2 1 over 9."""
    around = bits[tuple(slice(first, first + 5) for first in node)]
    one_axis = np.array([1, 2, 3, 2, 1]) / 9
    weights = np.einsum("a,b,c->abc", one_axis, one_axis, one_axis)
    top = 1 << NOISE_BITS
    numbers = [(around >> np.uint64(NOISE_BITS * axis)).astype(np.int64) % top for axis in range(3)]
    return np.array([(weights * ((each + 0.5) / top - 0.5) * np.sqrt(12)).sum() for each in numbers])


def test_bending_is_as_strong_as_published_and_leaves_padding_alone() -> None:
    arrays = room(12, 300)
    counts = np.full(12, 250)
    moved = bend(arrays, counts, draws(12), (0.2, 0.4))["points"] - arrays["points"]
    assert moved[:, :250].std() == pytest.approx(0.4 * (19 / 81) ** 1.5, rel=0.15)
    assert not moved[:, 250:].any()
    assert abs(np.corrcoef(moved[0, :250].ravel(), moved[1, :250].ravel())[0, 1]) < 0.2


def test_normals_follow_the_bent_surface() -> None:
    rng, step = np.random.default_rng(1), 2e-3
    corners = (rng.random((500, 3)) * 3).astype(np.float32)
    along = np.linalg.qr(rng.normal(size=(500, 3, 3)))[0].astype(np.float32)
    points = np.concatenate([corners, corners + step * along[:, 0], corners + step * along[:, 1]])[None]
    normals = np.tile(along[:, 2], (3, 1))[None]
    config = AugmentationConfig(**STILL, elastic=((0.2, 0.4), (0.8, 1.6)))
    bent, _ = draw_copy({"points": points, "normals": normals}, np.array([1500]), config, draws(1))
    first, second, third = np.split(bent["points"][0].astype(np.float64), 3)
    expected = np.cross(second - first, third - first)
    expected /= np.linalg.norm(expected, axis=1, keepdims=True)
    cosines = np.abs((expected * bent["normals"][0, :500]).sum(1))
    assert np.quantile(cosines, 0.1) > 0.999  # but where the three straddle two cells of a grid
    assert (np.abs((along[:, 2] * bent["normals"][0, :500]).sum(1)) < 0.99).mean() > 0.3
    assert np.allclose(np.linalg.norm(bent["normals"], axis=2), 1, atol=1e-5)


def test_a_grid_that_memory_would_not_hold_is_refused() -> None:
    with pytest.raises(DataError, match=r"granularity of 0\.001.*nodes"):
        bend(room(), np.array([400]), draws(1), (0.001, 1.0))
    with pytest.raises(ValidationError, match="above 0"):
        AugmentationConfig(elastic=((0.2, 0.0),))


def test_flips_mirror_x_and_z_of_half_the_clouds_each_and_normals_with_them() -> None:
    arrays = {**room(400, 2), "normals": np.full((400, 2, 3), 3**-0.5, np.float32)}
    moved = augment(arrays, AugmentationConfig(**STILL, flip=True), draws(400))
    signs = moved["points"][:, 0] / arrays["points"][:, 0]
    np.testing.assert_array_equal(np.unique(signs), [-1, 1])
    assert (signs[:, 1] == 1).all()
    kinds = np.unique(signs[:, ::2], axis=0, return_counts=True)[1]
    assert len(kinds) == 4
    assert kinds.min() > 70
    np.testing.assert_allclose(moved["normals"][:, 0] * 3**0.5, signs, atol=1e-6)


def test_one_factor_scales_all_axes() -> None:
    arrays = room(50, 3)
    moved = augment(arrays, AugmentationConfig(scale=(0.5, 2), translation=0, scale_jointly=True), draws(50))
    factors = (moved["points"] / arrays["points"]).reshape(50, -1)
    assert np.ptp(factors, axis=1).max() < 1e-5
    assert factors.min() < 0.7
    assert factors.max() > 1.8


def test_a_window_shows_what_lies_around_a_point_and_the_same_in_all_views(split: CachedSplit) -> None:
    config = AugmentationConfig(**STILL, window=0.6)
    recipe = Recipe(3, 40, config, ("rows",), num_views=2)
    arrays = training_arrays(split, np.arange(30), recipe)
    assert len(set(arrays["counts"])) > 5
    by_id = {int(identity): row for row, identity in enumerate(split.ids)}
    for cloud, count in enumerate(arrays["counts"]):
        stored = split.arrays(by_id[int(arrays["ids"][cloud])], ("points",))["points"]
        shown = set(arrays["rows"][cloud, :count].tolist())
        within = np.abs(stored[:, None, ::2] - stored[None, :, ::2]).max(axis=2) <= 0.3
        windows = [set(np.flatnonzero(around).tolist()) for around in within]
        assert any(shown == window or (len(shown) == 40 and shown < window) for window in windows)
        np.testing.assert_array_equal(arrays["points"][cloud, :count], stored[arrays["rows"][cloud, :count]])
        if count < 40:
            assert shown == set(arrays["view1/rows"][cloud, :count].tolist())


def test_a_window_with_too_few_points_shows_the_nearest_outside(split: CachedSplit) -> None:
    """As many as the network takes when a part of them is left out."""
    config = AugmentationConfig(**STILL, window=1e-6, cuboid_drop=0.4)
    fewest = {
        least: training_arrays(split, np.arange(8), Recipe(3, 40, config, min_points=least))["counts"].min()
        for least in (1, 9)
    }
    assert fewest[1] < 9 <= fewest[9]
    recipe = Recipe(3, 40, AugmentationConfig(**STILL, window=1e-6), ("rows",), min_points=9)
    shown = training_arrays(split, np.arange(1), recipe)
    assert shown["counts"] == 9
    row = split.ids.tolist().index(int(shown["ids"][0]))
    stored = split.arrays(row, ("point_labels", "points"))["points"][:, ::2]
    distances = np.sort(np.abs(stored[:, None] - stored[None]).max(axis=2), axis=1)[:, 8]
    spans = np.abs(stored[shown["rows"][0, :9], None] - stored[None]).max(axis=2).max(axis=0)
    assert np.isclose(spans, distances).any()


def test_a_cuboid_leaves_out_a_box_around_a_point_unless_it_holds_most() -> None:
    arrays, counts = room(60), np.full(60, 300)
    shown, kept = drop_cuboid(arrays, counts, draws(60), 0.6)
    for cloud in range(60):
        rows = shown["rows"][cloud, : kept[cloud]]
        assert (np.diff(rows) > 0).all()
        assert rows.max() < 300
        np.testing.assert_array_equal(shown["points"][cloud, : kept[cloud]], arrays["points"][cloud, rows])
        lost = np.delete(arrays["points"][cloud, :300], rows, axis=0)
        if len(lost) > 1:
            low, high = lost.min(0), lost.max(0)
            inside = (shown["points"][cloud, : kept[cloud]] - low) * (
                high - shown["points"][cloud, : kept[cloud]]
            )
            assert not (inside >= 0).all(axis=1).any()
            assert ((high - low) <= [2.4, 1.2, 1.8]).all()
    assert (kept < 300).any()
    crowded = {"points": np.concatenate([np.zeros((1, 90, 3)), np.eye(3)[None]], 1).astype(np.float32)}
    assert drop_cuboid(crowded, np.array([93]), draws(1), 0.5)[1] == 93


def test_colours_shift_together_and_some_clouds_are_black() -> None:
    arrays = {**room(200, 50), "colours": np.full((200, 50, 3), 0.5, np.float32)}
    config = AugmentationConfig(colour_jitter=0.1, colour_drop=0.3)
    moved = augment(arrays, config, draws(200))
    np.testing.assert_array_equal(
        moved["points"], augment(arrays, AugmentationConfig(), draws(200))["points"]
    )
    is_black = (moved["colours"] == 0).all(axis=(1, 2))
    assert 0.2 < is_black.mean() < 0.4
    shown = moved["colours"][~is_black]
    assert 0.05 < np.abs(shown.mean(axis=1) - 0.5).max() < 0.13
    assert shown.std(axis=1).mean() == pytest.approx(0.05, rel=0.1)
    bright = augment({**arrays, "colours": np.ones((200, 50, 3), np.float32)}, config, draws(200))["colours"]
    assert bright.max() == 1


def test_a_scene_is_the_same_whatever_else_is_in_its_batch(split: CachedSplit) -> None:
    config = AugmentationConfig(
        rotation="vertical",
        scale_jointly=True,
        flip=True,
        elastic=((0.2, 0.4),),
        window=0.8,
        cuboid_drop=0.4,
        jitter=0.01,
    )
    recipe = Recipe(3, 30, config, ("rows", "point_labels"), num_views=2)
    together = training_arrays(split, np.arange(40), recipe)
    for position in (0, 17, 39):
        alone = training_arrays(split, np.array([position]), recipe)
        for name, values in alone.items():
            np.testing.assert_array_equal(values[0], together[name][position])


def test_settings_that_change_views_are_told_from_those_that_all_views_share() -> None:
    nothing = AugmentationConfig(**STILL, random_subset=False)
    assert nothing.keeps_all
    assert nothing.model_copy(update={"window": 2.0}).keeps_all
    for name, value in {"flip": True, "colour_jitter": 0.1, "colour_drop": 0.5}.items():
        changed = nothing.model_copy(update={name: value})
        assert changed.keeps_shape
        assert not changed.keeps_all
    for name, value in {"elastic": ((0.2, 0.4),), "cuboid_drop": 0.2}.items():
        assert not nothing.model_copy(update={name: value}).keeps_shape
