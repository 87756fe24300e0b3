"""KITTI's sweeps come out y-up, and cameras show each point where the development kit's formula does."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from pydantic import ValidationError

from pointlab.config import validate
from pointlab.data.augmentation import AugmentationConfig
from pointlab.data.batches import Recipe, training_arrays
from pointlab.data.cache import open_split
from pointlab.data.correspondence import seen_pixels
from pointlab.data.dataset import DatasetConfig
from pointlab.data.detection import detect
from pointlab.data.formats import Kitti
from pointlab.data.formats.kitti_labels import CLASSES as CLASS_NAMES
from pointlab.data.picture_crops import PictureCropConfig
from pointlab.data.sample import Cloud, Picture
from pointlab.errors import DataError
from pointlab.experiment import LaunchConfig
from pointlab.geometry.cameras import project
from pointlab.launch import prepare
from pointlab.storage import Storage
from pointlab.training import ignore_progress
from written_kitti import (
    CLASSES,
    HEIGHT,
    LABELS,
    P3,
    WIDTH,
    projection,
    sweep,
    write_object,
    write_odometry,
)

OBJECT = Kitti(layout="object", pictures="both")
ODOMETRY = Kitti(layout="odometry")


def read_all(source: Kitti, root: Path) -> list[Cloud]:
    return source.read(root, source.index(root).rows)


def pixels_by_the_formula(number: int, matrix: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(column, row) and depth of each point of a sweep."""
    points = sweep(number)[:, :3].astype(np.float64)
    across, down, depth = matrix @ np.concatenate([points, np.ones((len(points), 1))], axis=1).T
    return np.stack([across / depth, down / depth], axis=1), depth


def shown_in(pixels: np.ndarray, depth: np.ndarray) -> np.ndarray:
    is_inside = (pixels >= -0.5).all(axis=1) & (pixels < [WIDTH - 0.5, HEIGHT - 0.5]).all(axis=1)
    return is_inside & (depth > 0)


def assert_projects(cloud: Cloud, picture: Picture, number: int, matrix: np.ndarray) -> None:
    points = torch.from_numpy(cloud.points.astype(np.float64))
    pixels, depth = project(points, picture.camera, torch.from_numpy(picture.pose))
    expected, distance = pixels_by_the_formula(number, matrix)
    np.testing.assert_allclose(depth, distance, atol=1e-9)
    is_before = distance > 0.5
    np.testing.assert_allclose(pixels.numpy()[is_before], expected[is_before], atol=1e-7)
    assert 5 < shown_in(expected, distance).sum() < 25


def test_cameras_show_points_where_the_formula_does_and_points_stand_upright(tmp_path: Path) -> None:
    write_object(tmp_path)
    for number, cloud in enumerate(read_all(OBJECT, tmp_path)[:3]):
        x, y, z, _ = sweep(number).T
        np.testing.assert_array_equal(cloud.points, np.stack([x, z, -y], axis=1))
        left, right = cloud.views
        assert (left.name, right.name) == ("image_2", "image_3")
        assert (left.colour.camera.width, left.colour.camera.height) == (WIDTH, HEIGHT)
        assert left.colour.content == (tmp_path / f"training/image_2/{number:06d}.png").read_bytes()
        assert_projects(cloud, left.colour, number, projection())
        assert_projects(cloud, right.colour, number, projection(P3))


def test_sequences_share_a_calibration_without_rectification(tmp_path: Path) -> None:
    write_odometry(tmp_path, with_pictures=True)
    for place, cloud in enumerate(read_all(Kitti(layout="odometry", pictures="left"), tmp_path)):
        (view,) = cloud.views
        assert_projects(cloud, view.colour, place % 2, projection(rectification=None))


def test_pixels_of_points_are_those_of_the_formula(tmp_path: Path) -> None:
    write_object(tmp_path)
    cloud = read_all(OBJECT, tmp_path)[1]
    found = seen_pixels(cloud.points, cloud.views[0]).pixels
    is_seen = (found != -1).all(axis=1)
    expected, depth = pixels_by_the_formula(1, projection())
    assert is_seen.sum() > 5
    assert not (is_seen & ~shown_in(expected, depth)).any()
    np.testing.assert_allclose(found[is_seen], expected[is_seen], atol=1e-3)


def test_pixels_in_a_batch_have_the_colours_of_their_points_whatever_was_drawn(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_object(tmp_path / "kitti")
    monkeypatch.setenv("POINTLAB_CACHE", str(tmp_path / "cache"))
    source = {
        "kind": "kitti",
        "layout": "object",
        "pictures": "left",
        "outside": "drop",
        "colours": "pictures",
    }
    settings = {"name": "mine", "source": source, "root": str(tmp_path / "kitti"), "validation_fraction": 0}
    config = validate(DatasetConfig, {**settings, "num_points": 16}, "test")
    storage = Storage(str(tmp_path / "store"))
    dataset = prepare(config, storage, LaunchConfig(kind="local"), ignore_progress)
    augmentation = AugmentationConfig(
        rotation="vertical", flip=True, elastic=((0.1, 0.2),), cuboid_drop=0.4, window=1.0, jitter=0.1
    )
    half = PictureCropConfig(size=(HEIGHT // 2, WIDTH // 2), area=(1, 1), aspect=(1, 1), flip=False)
    recipe = Recipe(0, 16, augmentation, ("pixels", "colours", "pictures"), pictures=half)
    batch = training_arrays(open_split(storage, dataset, "train"), np.arange(3), recipe)
    for pixels, colours, shown in zip(batch["pixels"], batch["colours"], batch["pictures"], strict=True):
        is_seen = (pixels != -1).all(axis=1)
        assert is_seen.sum() > 2
        columns, rows = np.round(pixels[is_seen]).astype(int).T
        np.testing.assert_allclose(shown[rows, columns] / 255, colours[is_seen], atol=1.01 / 255)


def test_labels_are_the_nineteen_classes_without_objects_and_none_where_nobody_has_them(
    tmp_path: Path,
) -> None:
    write_odometry(tmp_path)
    index = ODOMETRY.index(tmp_path)
    assert index.part_names == tuple(CLASS_NAMES)
    assert len(index.part_names) == 19
    for row, cloud in zip(index.rows, ODOMETRY.read(tmp_path, index.rows), strict=True):
        if row.group == "11":
            assert (cloud.point_labels == -1).all()
        else:
            assert cloud.point_labels[: len(LABELS)].tolist() == list(CLASSES)
            assert (cloud.point_labels[len(LABELS) :] == -1).all()
    write_odometry(tmp_path / "bare", with_labels=False)
    assert ODOMETRY.index(tmp_path / "bare").part_names == ()
    assert read_all(ODOMETRY, tmp_path / "bare")[0].point_labels is None


def test_splits_are_the_official_ones_and_sequences_the_groups(tmp_path: Path) -> None:
    write_odometry(tmp_path)
    index = ODOMETRY.index(tmp_path)
    found = {(row.group, row.split) for row in index.rows}
    assert found == {("00", "train"), ("07", "train"), ("08", "validation"), ("11", "test")}
    assert index.is_grouped
    assert len(index.files) == 8 + 6
    measurable = Kitti(layout="odometry", splits="labelled_test", stride=2).index(tmp_path)
    assert {(row.group, row.split) for row in measurable.rows} == {
        ("00", "train"),
        ("07", "validation"),
        ("08", "test"),
    }
    assert [row.file[-10:] for row in measurable.rows] == ["000000.bin"] * 3
    assert index.card.rows
    assert not measurable.card.rows


def test_lists_beside_the_object_benchmark_part_its_training(tmp_path: Path) -> None:
    write_object(tmp_path)
    index = OBJECT.index(tmp_path)
    assert [row.split for row in index.rows] == ["train", "train", "train", "test"]
    assert len(index.files) == 4 * 4
    (tmp_path / "ImageSets").mkdir()
    (tmp_path / "ImageSets/train.txt").write_text("000000\n000002\n")
    (tmp_path / "ImageSets/val.txt").write_text("000001\n")
    index = OBJECT.index(tmp_path)
    assert [row.split for row in index.rows] == ["train", "validation", "train", "test"]
    assert "ImageSets/val.txt" in index.files


def test_points_take_the_colours_of_their_pixels_or_of_what_they_reflect(tmp_path: Path) -> None:
    write_object(tmp_path)
    left = Kitti(layout="object", pictures="left", colours="pictures")
    cloud = read_all(left, tmp_path)[0]
    pixels, depth = pixels_by_the_formula(0, projection())
    is_shown = shown_in(pixels, depth)
    assert not cloud.colours[~is_shown].any()
    places = np.round(pixels[is_shown]).astype(int) // 8
    np.testing.assert_array_equal(np.round(cloud.colours[is_shown, :2] * 255).astype(int), places)
    dropped = read_all(left.model_copy(update={"outside": "drop"}), tmp_path)[0]
    np.testing.assert_array_equal(dropped.points, cloud.points[is_shown])
    np.testing.assert_array_equal(dropped.colours, cloud.colours[is_shown])
    grey = read_all(Kitti(layout="object", colours="reflectance"), tmp_path)[0]
    np.testing.assert_array_equal(grey.colours, np.repeat(sweep(0)[:, 3:], 3, axis=1))
    assert not grey.views


def test_a_folder_is_found_with_the_pictures_that_lie_in_it(tmp_path: Path) -> None:
    write_object(tmp_path / "one/kitti")
    (found,) = detect(tmp_path / "one")
    assert (found.kind, found.source.layout, found.source.pictures) == ("kitti", "object", "left")
    write_odometry(tmp_path / "two/dataset")
    (found,) = detect(tmp_path / "two")
    assert (found.source.layout, found.source.pictures) == ("odometry", "none")
    assert not found.guessed


def test_settings_that_need_pictures_or_labels_say_so() -> None:
    with pytest.raises(ValidationError, match="need pictures: left"):
        Kitti(layout="object", colours="pictures")
    with pytest.raises(ValidationError, match="need pictures: left"):
        Kitti(layout="object", outside="drop")
    with pytest.raises(ValidationError, match="layout: odometry"):
        Kitti(layout="object", splits="labelled_test")


def _lists(root: Path) -> None:
    (root / "ImageSets").mkdir()
    (root / "ImageSets/train.txt").write_text("000000\n")


SPOILT: dict[str, tuple[str, Callable[[Path], object], str]] = {
    "no picture": (
        "object",
        lambda root: (root / "training/image_2/000001.png").unlink(),
        "1 files are missing",
    ),
    "no calibration": (
        "object",
        lambda root: (root / "testing/calib/000000.txt").unlink(),
        "calib/000000.txt",
    ),
    "no sweeps": (
        "object",
        lambda root: (root / "training").rename(root / "train") and _empty(root),
        "no sweeps",
    ),
    "an unlisted frame": ("object", _lists, "000001.bin is in none of train.txt, val.txt, nor are 1 others"),
    "half a point": ("object", lambda root: _cut(root / "training/velodyne/000000.bin"), "has 639 bytes"),
    "no P2": ("object", lambda root: _replace(root, "object", "P2:", "P9:"), "no numbers for P2"),
    "words": (
        "object",
        lambda root: _replace(root, "object", "0.9999128", "nearly"),
        "has the line 'R0_rect",
    ),
    "a mirror": ("object", lambda root: _replace(root, "object", "0.9999753", "-0.9999753"), "mirrors"),
    "a skewed camera": (
        "object",
        lambda root: _replace(root, "object", "P2: 707.0493 0", "P2: 707.0493 3"),
        "P2 ",
    ),
    "no labels of a sequence": ("odometry", lambda root: _remove(root / "sequences/07/labels"), "2 files"),
    "too few labels": ("odometry", lambda root: _cut(root / "sequences/00/labels/000000.label"), "159 bytes"),
    "an unknown label": (
        "odometry",
        lambda root: np.full(40, 9, "<u4").tofile(root / "sequences/00/labels/000000.label"),
        "has the label 9",
    ),
    "no matrix Tr": (
        "odometry",
        lambda root: _replace(root, "odometry", "Tr:", "To:"),
        "no numbers for R0_rect",
    ),
}


def _empty(root: Path) -> None:
    (root / "testing/velodyne/000000.bin").unlink()


def _cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


def _remove(folder: Path) -> None:
    for path in folder.iterdir():
        path.unlink()
    folder.rmdir()


def _replace(root: Path, layout: str, old: str, new: str) -> None:
    file = "training/calib/000000.txt" if layout == "object" else "sequences/00/calib.txt"
    text = (root / file).read_text()
    assert old in text
    (root / file).write_text(text.replace(old, new))


@pytest.mark.parametrize("name", SPOILT)
def test_what_is_missing_or_spoilt_is_named(name: str, tmp_path: Path) -> None:
    layout, spoil, expected = SPOILT[name]
    if layout == "object":
        write_object(tmp_path)
    else:
        write_odometry(tmp_path, with_pictures=name == "no matrix Tr")
    spoil(tmp_path)
    pictures = "left" if layout == "object" or name == "no matrix Tr" else "none"
    with pytest.raises(DataError, match=expected.replace("(", r"\(")):
        read_all(Kitti(layout=layout, pictures=pictures), tmp_path)


def test_a_root_one_folder_too_deep_is_told(tmp_path: Path) -> None:
    write_odometry(tmp_path)
    with pytest.raises(DataError, match=f"one folder up: {tmp_path}"):
        Kitti(layout="odometry").index(tmp_path / "sequences")
