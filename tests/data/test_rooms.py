"""Rooms as a set: every point lies where its depth pixel saw it, and rows are anyone's to make."""

import numpy as np
import pytest
import torch

from pointlab.data.builtin import Rooms
from pointlab.data.builtin.objects import CLASSES
from pointlab.data.builtin.rooms.furnishing import ROOM_TYPES
from pointlab.data.builtin.rooms.scene import SEMANTIC_NAMES, make_scene
from pointlab.data.builtin.rooms.sensing import UNIT
from pointlab.data.builtin.rooms.source import one_per_voxel
from pointlab.data.pictures import decode_colour, decode_depth
from pointlab.data.source import SourceRow
from pointlab.errors import DataError
from pointlab.geometry.cameras import project
from pointlab.seeding import generator

SMALL = Rooms(num_train=4, num_test=4, views_per_cloud=2, image_width=40, image_height=30)
SINGLE = SMALL.model_copy(update={"views_per_cloud": 1, "voxel_size": 1e-4})


@pytest.fixture(scope="module")
def single() -> list:
    return SINGLE.read(None, SINGLE.index(None).rows[:8:2])


def content(cloud) -> bytes:
    arrays = (cloud.points, cloud.normals, cloud.colours, cloud.point_labels)
    pictures = [v.colour.content + v.depth.content + v.depth.pose.tobytes() for v in cloud.views]
    return b"".join([*(array.tobytes() for array in arrays), *pictures])


def test_the_index_groups_the_walks_of_a_room_and_spreads_the_types():
    index = SMALL.index(None)
    assert index.is_grouped
    assert index.class_names == tuple(ROOM_TYPES)
    assert index.part_names == SEMANTIC_NAMES
    assert len(index.rows) == len(set(index.rows)) == 16
    assert [row.label for row in index.rows if row.split == "test"] == [0, 0, 1, 1, 2, 2, 3, 3]
    groups = [row.group for row in index.rows]
    assert len(set(groups)) == 8
    assert all(index.class_names[row.label] in row.group for row in index.rows)


def test_a_row_is_the_same_in_any_order_and_differs_from_all_others():
    rows = SMALL.index(None).rows[:4]
    forward = [content(cloud) for cloud in SMALL.read(None, rows)]
    shuffled = [rows[k] for k in (2, 1, 3, 0)]
    again = [content(cloud) for cloud in SMALL.read(None, shuffled)]
    assert again == [forward[k] for k in (2, 1, 3, 0)]
    assert len(set(forward)) == 4
    other = SMALL.model_copy(update={"seed": 1})
    assert content(other.read(None, rows[:1])[0]) not in forward


def test_furniture_that_is_longer_than_a_wall_is_left_out():
    """Room 10 of the default set is offered some."""
    make_scene("living room", generator("rooms", 1, 0, "train", "living room", "00010"))


def test_clouds_are_whole_samples():
    for row, cloud in zip(
        SMALL.index(None).rows[:2], SMALL.read(None, SMALL.index(None).rows[:2]), strict=True
    ):
        assert cloud.label == row.label
        assert len(cloud.views) == 2
        assert len(cloud.points) > 100
        assert cloud.points.dtype == cloud.colours.dtype == np.float32
        np.testing.assert_allclose(np.linalg.norm(cloud.normals, axis=1), 1, atol=1e-5)
        assert np.all((cloud.colours >= 0) & (cloud.colours <= 1))
        assert cloud.point_labels.min() >= 0
        assert cloud.point_labels.max() < len(SEMANTIC_NAMES)
        assert cloud.caption.startswith(("a ", "an "))


def test_things_stand_on_tables_and_chairs_at_them():
    names = [
        {item.name for item in make_scene(kind, generator("on top", kind, k)).items}
        for kind in ("dining room", "office")
        for k in range(2)
    ]
    assert sum(bool(found & {"bowl", "bottle", "mug", "vase", "laptop", "monitor"}) for found in names) >= 3
    assert sum(bool(found & {"chair", "stool", "bench"}) for found in names) >= 3


def test_every_point_of_a_view_projects_onto_the_depth_pixel_that_it_came_from(single):
    for cloud in single:
        depth = cloud.views[0].depth
        measured = decode_depth(depth.content, depth.unit)
        points = torch.from_numpy(cloud.points).double()
        pixels, far = project(points, depth.camera, torch.from_numpy(depth.pose))
        off = (pixels - pixels.round()).abs()
        assert off.max() < 1e-3
        columns, rows = pixels.round().long().numpy().T
        assert len(set(zip(columns, rows, strict=True))) == len(points)
        np.testing.assert_allclose(measured[rows, columns], far.numpy(), atol=1e-5)


def test_every_point_has_the_colour_of_its_pixel_in_the_colour_picture(single):
    for cloud in single:
        colour = cloud.views[0].colour
        picture = decode_colour(colour.content)
        pixels, _ = project(
            torch.from_numpy(cloud.points).double(), colour.camera, torch.from_numpy(colour.pose)
        )
        columns, rows = pixels.round().long().numpy().T
        same = np.all(np.abs(picture[rows, columns] / 255 - cloud.colours) < 1e-6, axis=1)
        assert same.mean() > 0.999  # single precision may cross the border of a pixel


def test_the_two_cameras_differ_as_real_ones_do(single):
    view = single[0].views[0]
    assert view.depth.unit == UNIT
    assert view.colour.unit == 0
    assert view.depth.camera.fx > 1.1 * view.colour.camera.fx
    assert view.depth.camera.cx != view.colour.camera.cx
    offset = view.colour.pose @ np.linalg.inv(view.depth.pose)
    np.testing.assert_allclose(np.linalg.norm(offset[:3, 3]), 0.05, atol=0.003)
    angle = np.degrees(np.arccos((np.trace(offset[:3, :3]) - 1) / 2))
    assert 0.2 < angle < 3
    np.testing.assert_allclose(offset[:3, :3] @ offset[:3, :3].T, np.eye(3), atol=1e-12)


def test_one_point_is_kept_in_each_voxel_the_first():
    points = np.array([[0.0, 0, 0], [0.05, 0, 0], [0.11, 0, 0], [0.0, 0.19, 0], [0.02, 0.02, 0.02]])
    assert one_per_voxel(points, 0.1).tolist() == [0, 2, 3]
    random = np.random.default_rng(0).uniform(-3, 3, size=(2000, 3))
    cells = np.floor((random - random.min(0)) / 0.5).astype(int)
    assert len(one_per_voxel(random, 0.5)) == len(np.unique(cells, axis=0))


def test_more_views_show_more():
    rows = SMALL.index(None).rows[:1]
    sizes = [
        len(SMALL.model_copy(update={"views_per_cloud": number}).read(None, rows)[0].points)
        for number in (1, 4)
    ]
    assert sizes[1] > 1.2 * sizes[0]


@pytest.mark.parametrize("file", ["rooms/train/castle/00000", "rooms/office/00001", "shapes/train/chair", ""])
def test_a_row_of_another_set_is_refused(file):
    with pytest.raises(DataError, match=r"What to do: take rows from the index"):
        SMALL.read(None, [SourceRow(file, 0, "train", 0)])


def test_every_class_of_objects_has_a_place_in_some_room():
    wished = {
        name for wishes in ROOM_TYPES.values() for w in wishes for name in (*w.names, *w.seats, *w.on_top)
    }
    assert wished == set(CLASSES)
