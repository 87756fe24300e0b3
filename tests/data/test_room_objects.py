"""Furniture thing by thing: the same every time, in the middle of its pictures, by cameras that are right."""

import io

import numpy as np
import torch
from PIL import Image

from pointlab.data.builtin import RoomObjects
from pointlab.data.builtin.objects import CLASSES
from pointlab.data.builtin.rooms.belongings import _rooms_with
from pointlab.data.pictures import decode_colour
from pointlab.geometry.cameras import is_inside, project


def test_a_thing_lies_within_its_picture_where_its_camera_says() -> None:
    source = RoomObjects(num_train_per_class=1, num_test_per_class=0, num_views=2)
    rows = [row for row in source.index(None).rows if row.label == list(CLASSES).index("cabinet")]
    (cloud,), (again,) = source.read(None, rows), source.read(None, rows)
    assert cloud.caption == "a cabinet"
    assert np.array_equal(cloud.points, again.points)
    assert len(cloud.views) == 2
    for view, other in zip(cloud.views, again.views, strict=True):
        assert view.colour is not None
        assert other.colour is not None
        assert view.colour.content == other.colour.content
    picture = cloud.views[0].colour
    assert picture is not None
    assert cloud.colours is not None
    assert Image.open(io.BytesIO(picture.content)).size == (64, 64)
    pixels, depth = project(
        torch.from_numpy(cloud.points).double(), picture.camera, torch.from_numpy(picture.pose)
    )
    assert is_inside(pixels, depth, picture.camera).all()
    columns, rows_of = pixels.round().long().numpy().T
    differences = np.abs(decode_colour(picture.content)[rows_of, columns] / 255 - cloud.colours)
    assert np.median(differences) < 0.05


def test_every_class_has_a_room_to_stand_in() -> None:
    assert all(_rooms_with(name) for name in CLASSES)
