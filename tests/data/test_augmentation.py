"""Augmentation is a function of its key, and does to normals what it does to points."""

import numpy as np
import pytest

from pointlab.data.augmentation import AugmentationConfig, augment, draw_rotation
from pointlab.seeding import generator

PLAIN = AugmentationConfig(scale=(1, 1), translation=0, random_subset=False)


def plane(num_points: int = 64) -> dict[str, np.ndarray]:
    points = np.random.default_rng(0).normal(size=(num_points, 3)).astype(np.float32)
    points[:, 1] = 0.5 * points[:, 0] - 0.25 * points[:, 2]
    normal = np.array([-0.5, 1, 0.25]) / np.linalg.norm([-0.5, 1, 0.25])
    return {"points": points, "normals": np.tile(normal, (num_points, 1)).astype(np.float32)}


def test_equal_keys_give_equal_clouds_and_each_part_of_a_key_counts() -> None:
    config = AugmentationConfig(rotation="full", jitter=0.01)
    cloud = augment(plane(), 32, config, (1, 2, 3))["points"]
    assert np.array_equal(cloud, augment(plane(), 32, config, (1, 2, 3))["points"])
    for other in [(0, 2, 3), (1, 0, 3), (1, 2, 0)]:
        assert not np.array_equal(cloud, augment(plane(), 32, config, other)["points"])


def test_normals_stay_normal_under_rotation_and_anisotropic_scale() -> None:
    moved = augment(plane(), 64, AugmentationConfig(rotation="full", random_subset=False), (0, 0, 0))
    edges = moved["points"][1:] - moved["points"][0]
    assert np.abs((edges * moved["normals"][0]).sum(1)).max() < 1e-5
    assert np.allclose(np.linalg.norm(moved["normals"], axis=1), 1, atol=1e-6)


@pytest.mark.parametrize("kind", ["none", "vertical", "full"])
def test_rotations_are_proper_and_vertical_ones_keep_height(kind: str) -> None:
    for seed in range(20):
        rotation = draw_rotation(generator(seed), kind)  # type: ignore[arg-type]
        assert np.allclose(rotation @ rotation.T, np.eye(3), atol=1e-12)
        assert np.linalg.det(rotation) == pytest.approx(1)
        if kind == "vertical":
            assert np.allclose(rotation[1], [0, 1, 0])


def test_full_rotations_are_uniform() -> None:
    axes = np.array([draw_rotation(generator("u", seed), "full")[:, 2] for seed in range(2000)])
    assert np.abs(axes.mean(0)).max() < 0.06
    assert np.abs((axes**2).mean(0) - 1 / 3).max() < 0.03


def test_scale_and_translation_stay_within_their_ranges() -> None:
    corners = np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1]], np.float32)
    config = AugmentationConfig(scale=(0.5, 2.0), translation=0.3, random_subset=False)
    for seed in range(50):
        moved = augment({"points": corners}, 4, config, (seed, 0, 0))["points"]
        assert np.abs(moved[0]).max() <= 0.3
        factors = np.diag(moved[1:] - moved[0])
        assert 0.5 - 1e-6 <= factors.min() <= factors.max() <= 2.0 + 1e-6


def test_a_subset_is_drawn_from_the_front_of_the_farthest_point_order() -> None:
    points = np.zeros((100, 3), np.float32)
    points[:, 0] = np.arange(100)
    config = PLAIN.model_copy(update={"random_subset": True})
    drawn = augment({"points": points}, 50, config, (0, 0, 0))["points"][:, 0]
    assert len(set(drawn)) == 50
    assert drawn.max() < 60
    assert not np.array_equal(np.sort(drawn), np.arange(50))


def test_too_few_points_are_kept_and_never_repeated() -> None:
    moved = augment(plane(num_points=10), 64, PLAIN, (0, 0, 0))
    assert np.array_equal(moved["points"], plane(num_points=10)["points"])
