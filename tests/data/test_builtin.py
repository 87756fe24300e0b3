"""The built-in sets: varied objects, honest scans, and rows that anyone can make."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from scipy.spatial import cKDTree

import pointlab
from pointlab.data.builtin import Scans, Shapes
from pointlab.data.builtin.objects import CLASSES, PARTS
from pointlab.data.builtin.scans import CLUTTER
from pointlab.data.builtin.sensors import SENSORS
from pointlab.data.source import SourceRow
from pointlab.errors import DataError
from pointlab.seeding import stable_hash

SOURCES = {
    "shapes": Shapes(num_train_per_class=2, num_test_per_class=1, num_points=512),
    "dense": Scans(num_train_per_class=2, num_test_per_class=1),
    "sparse": Scans(num_train_per_class=2, num_test_per_class=1, sensor="sparse"),
}


@pytest.fixture
def generator() -> np.random.Generator:
    return np.random.default_rng(0)


def content(cloud) -> bytes:
    return b"".join(array.tobytes() for array in (cloud.points, cloud.normals, cloud.point_labels))


@pytest.mark.parametrize("name", CLASSES)
def test_instances_vary_in_form_and_in_words_and_name_only_known_parts(name, generator):
    instances = [CLASSES[name](generator) for _ in range(60)]
    captions = {instance.caption for instance in instances}
    assert len(captions) >= 3
    assert all(caption.startswith(("a ", "an ")) and "  " not in caption for caption in captions)
    assert len({len(instance.parts) for instance in instances}) > 1
    assert {part.name for instance in instances for part in instance.parts} == set(PARTS[name])


@pytest.mark.parametrize("name", CLASSES)
def test_objects_stand_upright_on_the_ground_in_everyday_sizes(name, generator):
    for _ in range(5):
        points, normals, _ = CLASSES[name](generator).sample(512, generator)
        assert -0.02 < points[:, 1].min() < 0.1
        assert 0.05 < np.ptp(points, axis=0).max() < 3.5
        np.testing.assert_allclose(np.linalg.norm(normals, axis=1), 1, atol=1e-9)


def test_captions_tell_the_structure(generator):
    words = {3: "three", 4: "four", 5: "five"}
    for _ in range(40):
        stool = CLASSES["stool"](generator)
        names = [part.name for part in stool.parts]
        assert ("foot ring" in stool.caption) == ("ring" in names)
        assert ("low back" in stool.caption) == ("back" in names)
        if "base" not in names:
            assert f"{words[names.count('leg')]} " in stool.caption


@pytest.mark.parametrize("name", SOURCES)
def test_the_index_lists_every_class_and_split(name):
    index = SOURCES[name].index(None)
    assert index.class_names == tuple(CLASSES)
    assert len(CLASSES) >= 12
    assert len(set(index.rows)) == len(index.rows) == 3 * len(CLASSES)
    assert {row.split for row in index.rows} == {"train", "test"}
    assert index.part_names[: len(PARTS["bed"])] == tuple(f"bed/{part}" for part in PARTS["bed"])
    assert all(index.class_names[row.label] == row.file.split("/")[-1] for row in index.rows)


@pytest.mark.parametrize("name", SOURCES)
def test_a_row_is_the_same_in_any_order(name):
    source = SOURCES[name]
    rows = source.index(None).rows[::5]
    forward = [content(cloud) for cloud in source.read(None, rows)]
    backward = [content(cloud) for cloud in source.read(None, rows[::-1])]
    assert forward == backward[::-1]
    assert len(set(forward)) == len(rows)


def test_a_row_is_the_same_in_another_process():
    program = (
        "from pointlab.data.builtin import Scans\n"
        "from pointlab.seeding import stable_hash\n"
        "source = Scans()\n"
        "print(stable_hash(source.read(None, source.index(None).rows[7:8])[0].points.tobytes().hex()))\n"
    )
    root = str(Path(pointlab.__file__).parents[1])
    result = subprocess.run(
        [sys.executable, "-c", program], env={"PYTHONPATH": root}, capture_output=True, text=True, check=True
    )
    source = Scans()
    cloud = source.read(None, source.index(None).rows[7:8])[0]
    assert result.stdout.strip() == stable_hash(cloud.points.tobytes().hex())


@pytest.mark.parametrize("name", SOURCES)
def test_clouds_carry_normals_labels_and_captions(name):
    source = SOURCES[name]
    index = source.index(None)
    for row, cloud in zip(index.rows[::3], source.read(None, index.rows[::3]), strict=True):
        assert cloud.points.dtype == cloud.normals.dtype == np.float32
        assert np.isfinite(cloud.points).all()
        np.testing.assert_allclose(np.linalg.norm(cloud.normals, axis=1), 1, atol=1e-5)
        assert cloud.label == row.label
        assert cloud.caption
        parts = {index.part_names[label] for label in np.unique(cloud.point_labels)} - {"clutter"}
        assert {part.split("/")[0] for part in parts} == {index.class_names[row.label]}
        assert index.points_per_cloud in (None, len(cloud.points))


def test_streams_are_disjoint_between_splits_seeds_and_sensors():
    def first(source, split):
        row = next(row for row in source.index(None).rows if row.split == split)
        return content(source.read(None, [row])[0])

    noiseless = {"noise_scale": 0, "dropout_scale": 0, "clutter_probability": 0}
    sources = [Shapes(), Shapes(seed=1), Scans(**noiseless), Scans(sensor="sparse", **noiseless)]
    clouds = [first(source, split) for source in sources for split in ("train", "test")]
    assert len(set(clouds)) == len(clouds)


def test_more_points_do_not_change_the_instance():
    few, many = (Shapes(num_points=count) for count in (64, 4096))
    row = few.index(None).rows[5]
    few_cloud, many_cloud = few.read(None, [row])[0], many.read(None, [row])[0]
    assert few_cloud.caption == many_cloud.caption
    distances, _ = cKDTree(many_cloud.points).query(few_cloud.points)
    assert distances.max() < 0.1 * np.ptp(many_cloud.points, axis=0).max()


@pytest.mark.parametrize("file", ["shapes/train/dragon", "train/chair", "scans-dense/train/chair", ""])
def test_a_row_of_another_set_is_refused(file):
    with pytest.raises(DataError, match=r"What to do: take rows from the index"):
        Shapes().read(None, [SourceRow(file, 0, "train", 0)])


def test_scans_are_one_sided():
    """All normals of an unspoilt scan of a convex part lie within half a turn; a shape's point all around."""
    scans = Scans(noise_scale=0, dropout_scale=0, clutter_probability=0, num_train_per_class=4)
    rows = [row for row in scans.index(None).rows if row.file.endswith("train/bottle")]
    body = scans.part_names.index("bottle/body")
    for cloud in scans.read(None, rows):
        side = cloud.normals[(cloud.point_labels == body) & (np.abs(cloud.normals[:, 1]) < 0.3)]
        facing = side.mean(0) / np.linalg.norm(side.mean(0))
        assert (side @ facing).min() > 0
    whole = Shapes().read(None, [SourceRow("shapes/train/bottle", 0, "train", 2)])[0]
    assert np.linalg.norm(whole.normals.mean(0)) < 0.2


@pytest.mark.parametrize("sensor", SENSORS)
def test_every_scan_has_enough_points_on_the_object(sensor):
    scans = Scans(sensor=sensor, num_train_per_class=0, num_test_per_class=6)
    counts = [np.sum(cloud.point_labels != CLUTTER) for cloud in scans.read(None, scans.index(None).rows)]
    assert min(counts) >= SENSORS[sensor].min_returns
    assert len(set(counts)) > 10


def test_the_sparse_sensor_returns_fewer_points():
    sizes = {
        name: np.median([len(cloud.points) for cloud in source.read(None, source.index(None).rows)])
        for name, source in SOURCES.items()
    }
    assert sizes["sparse"] < 0.5 * sizes["dense"]


def test_clutter_and_tilt_are_as_the_settings_say():
    rows = Scans().index(None).rows[:400:10]
    clean = Scans(clutter_probability=0).read(None, rows)
    cluttered = Scans(clutter_probability=1).read(None, rows)
    assert not any((cloud.point_labels == CLUTTER).any() for cloud in clean)
    assert np.mean([(cloud.point_labels == CLUTTER).any() for cloud in cluttered]) > 0.8
    for tilt, is_level in ((0.0, True), (5.0, False)):  # a bed's faces are all level or upright
        heights = np.abs(Scans(max_tilt=tilt, clutter_probability=0).read(None, rows[:1])[0].normals[:, 1])
        assert np.all((heights < 1e-5) | (heights > 1 - 1e-5)) == is_level
