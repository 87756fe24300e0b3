"""The built-in sets: exact surfaces, varied objects, honest scans, and rows that anyone can make."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from scipy.spatial import cKDTree

import pointlab
from pointlab.data.builtin import Scans, Shapes
from pointlab.data.builtin.assembly import Assembly, Part, rod, shift, turn
from pointlab.data.builtin.objects import CLASSES, PARTS
from pointlab.data.builtin.objects.outlines import polygon, rectangle
from pointlab.data.builtin.optics import incidence, look_at, scan_lines, visible
from pointlab.data.builtin.primitives import Ring, Surface, Tube, box, frame_along, frustum, prism, spheroid
from pointlab.data.builtin.scans import CLUTTER
from pointlab.data.builtin.sensors import SENSORS, depth_noise, measure
from pointlab.data.builtin.surfels import Surfels
from pointlab.data.source import SourceRow
from pointlab.errors import DataError
from pointlab.seeding import stable_hash

SOURCES = {
    "shapes": Shapes(num_train_per_class=2, num_test_per_class=1, num_points=512),
    "dense": Scans(num_train_per_class=2, num_test_per_class=1),
    "sparse": Scans(num_train_per_class=2, num_test_per_class=1, sensor="sparse"),
}
SURFACES: dict[str, tuple[Surface, float]] = {
    "box": (box(1.0, 2.0, 3.0), 22.0),
    "prism": (prism(rectangle(1.0, 3.0), 2.0), 22.0),
    "hexagon": (prism(polygon(2.0, 6), 1.0), 3 * np.sqrt(3) + 6),
    "cylinder": (frustum(1.0, 1.0, 2.0), 6 * np.pi),
    "cone": (frustum(3.0, 0.0, 4.0), 24 * np.pi),
    "ball": (spheroid(1.0, 1.0, 64), 4 * np.pi),
    "ring": (Ring(2.0, 0.5), 4 * np.pi**2),
    "arc": (Ring(2.0, 0.5, np.pi), 2 * np.pi**2),
    "tube": (Tube(np.array([[0, 0, 0], [1, 0, 0], [1, 2, 0]], dtype=float), 0.1), 0.6 * np.pi),
}


@pytest.fixture
def generator() -> np.random.Generator:
    return np.random.default_rng(0)


def content(cloud) -> bytes:
    return b"".join(array.tobytes() for array in (cloud.points, cloud.normals, cloud.point_labels))


# --- surfaces


@pytest.mark.parametrize("name", SURFACES)
def test_areas_are_those_of_the_closed_forms(name):
    surface, area = SURFACES[name]
    assert surface.area == pytest.approx(area, rel=1e-3)


@pytest.mark.parametrize("name", SURFACES)
def test_normals_are_the_planes_that_neighbouring_points_lie_in(name, generator):
    points, normals = SURFACES[name][0].sample(8000, generator)
    np.testing.assert_allclose(np.linalg.norm(normals, axis=1), 1, atol=1e-12)
    _, neighbours = cKDTree(points).query(points[:200], k=10)
    offsets = points[neighbours] - points[neighbours].mean(1, keepdims=True)
    estimated = np.linalg.svd(offsets)[2][:, 2]
    agreement = np.abs((estimated * normals[:200]).sum(1))
    assert np.median(agreement) > 0.98  # neighbourhoods across an edge disagree


@pytest.mark.parametrize("name", ["box", "prism", "hexagon", "cylinder", "cone", "ball", "ring"])
def test_normals_point_outwards_so_that_their_flux_is_three_volumes(name, generator):
    volumes = {"box": 6, "prism": 6, "hexagon": 1.5 * np.sqrt(3), "cylinder": 2 * np.pi}
    volumes |= {"cone": 12 * np.pi, "ball": 4 / 3 * np.pi, "ring": np.pi**2}
    surface, area = SURFACES[name]
    points, normals = surface.sample(20000, generator)
    assert area * (points * normals).sum(1).mean() == pytest.approx(3 * volumes[name], rel=0.03)


def test_points_lie_on_the_surface(generator):
    points, _ = SURFACES["ring"][0].sample(500, generator)
    from_spine = np.hypot(np.hypot(points[:, 0], points[:, 1]) - 2.0, points[:, 2])
    np.testing.assert_allclose(from_spine, 0.5, atol=1e-12)
    points, _ = SURFACES["box"][0].sample(500, generator)
    np.testing.assert_allclose(np.abs(points / (0.5, 1.0, 1.5)).max(1), 1.0, atol=1e-12)
    points, _ = SURFACES["cone"][0].sample(500, generator)
    radii = np.hypot(points[:, 0], points[:, 2])
    assert np.all(np.isclose(radii, 3 * (1 - points[:, 1] / 4)) | np.isclose(points[:, 1], 0))


def test_density_is_uniform_where_the_parameters_are_not(generator):
    """Half of a cone's side lies within 1/sqrt(2) of its slant; a ring has more area outside than inside."""
    side = frustum(3.0, 0.0, 4.0).sample(20000, generator)[0]
    side = side[side[:, 1] > 1e-9]
    assert np.mean(side[:, 1] > 4 * (1 - np.sqrt(0.5))) == pytest.approx(0.5, abs=0.015)
    ring = Ring(2.0, 0.5).sample(20000, generator)[0]
    assert np.mean(np.hypot(ring[:, 0], ring[:, 1]) > 2) == pytest.approx(0.5 + 0.5 / (2 * np.pi), abs=0.015)


@pytest.mark.parametrize("direction", [(0, 1, 0), (0, -1, 0), (1, 2, -3), (-1, -1e-3, 0)])
def test_a_frame_is_a_rotation_that_lays_y_along_its_direction(direction):
    frame = frame_along(np.array(direction, dtype=float))
    np.testing.assert_allclose(frame @ frame.T, np.eye(3), atol=1e-12)
    assert np.linalg.det(frame) == pytest.approx(1)
    np.testing.assert_allclose(frame[:, 1], np.array(direction) / np.linalg.norm(direction))


def test_parts_are_moved_rotated_and_labelled_by_area(generator):
    large = Part("large", box(1.0, 1.0, 1.0), shift(0, 5, 0) @ turn("z", np.pi / 4))
    thing = Assembly((large, rod("small", (3, 0, 0), (3, 2, 0), 0.1)), "a thing")
    points, normals, parts = thing.sample(4000, generator)
    small_area = 2 * np.pi * 0.1 * 2 + 2 * np.pi * 0.01
    assert np.mean(parts == 1) == pytest.approx(small_area / (6 + small_area), abs=0.02)
    assert points[parts == 0, 1].max() == pytest.approx(5 + np.sqrt(0.5), abs=0.02)
    np.testing.assert_allclose(np.abs(normals[parts == 0]).max(1).min(), np.sqrt(0.5))
    assert np.all(points[parts == 1, 0] > 2.8)


# --- objects


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


# --- sources


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


# --- sensors


def test_only_the_near_side_of_a_ball_is_seen(generator):
    points, normals = spheroid(0.5, 0.5, 64).sample(6000, generator)
    view = look_at(np.zeros(3), 0.7, 0.4, 2.0, 2 * 0.5 / 2.0 / 64)
    rows = visible(points, normals, view)
    towards = view.eye / np.linalg.norm(view.eye)
    assert (points[rows] @ towards).min() > 0
    assert len(rows) > 0.9 * np.sum(incidence(points, normals, view) > np.cos(np.radians(75)))


def test_what_stands_behind_a_wall_is_hidden_and_what_stands_beside_it_is_seen(generator):
    wall, _ = box(1.0, 1.0, 0.02).sample(6000, generator)
    ball, outward = spheroid(0.1, 0.1).sample(1000, generator)
    view = look_at(np.zeros(3), 0.0, 0.0, 3.0, 1 / 3.0 / 64)
    for x, is_seen in ((0.0, False), (0.8, True)):
        points = np.concatenate([wall, ball + np.array([x, 0, -0.5])])
        normals = np.concatenate([np.tile([0.0, 0.0, 1.0], (len(wall), 1)), outward])
        assert (visible(points, normals, view) >= len(wall)).any() == is_seen


def test_scan_lines_return_one_nearest_point_per_pixel(generator):
    points, _ = box(1.0, 1.0, 0.5).sample(5000, generator)
    view = look_at(np.zeros(3), 0.3, 0.2, 2.0, 1 / 2.0 / 20)
    rows, columns, depth = view.project(points)
    returned = scan_lines(points, view, line_gap=4, phase=1)
    assert set(rows[returned] % 4) == {1}
    pixels = list(zip(rows[returned], columns[returned], strict=True))
    assert len(set(pixels)) == len(pixels)
    nearest = [depth[(rows == row) & (columns == column)].min() for row, column in pixels]
    np.testing.assert_array_equal(depth[returned], nearest)


def test_depth_noise_grows_with_range_and_with_the_angle():
    frontal = depth_noise(np.array([0.5, 1.0, 3.0]), np.ones(3))
    slanted = depth_noise(np.full(3, 1.0), np.cos(np.radians([0.0, 60.0, 79.0])))
    assert np.all(np.diff(frontal) > 0)
    assert np.all(np.diff(slanted) > 0)
    assert frontal[1] == pytest.approx(0.0012 + 0.0019 * 0.36)


def test_a_frame_moves_points_along_their_rays_only(generator):
    points, normals = box(1.0, 1.0, 1.0).sample(3000, generator)
    view = look_at(np.zeros(3), 0.5, 0.5, 3.0, 1 / 3.0 / 64)
    surfels = Surfels(points, normals, np.arange(len(points)))
    frame = measure(surfels, view, SENSORS["sparse"], generator)
    rays, measured = points[frame.labels] - view.eye, frame.points - view.eye
    np.testing.assert_allclose(np.cross(rays, measured), 0, atol=1e-9)
    assert not np.allclose(rays, measured)


# --- scans


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
