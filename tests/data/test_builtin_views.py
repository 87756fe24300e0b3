"""Pictures of objects: all around, the whole of each, and nothing that changes the clouds."""

import numpy as np
import pytest
import torch

from pointlab.data.builtin import Shapes
from pointlab.data.builtin.assembly import Assembly, Part, shift
from pointlab.data.builtin.materials import MATERIALS, PART_MATERIALS, draw_skins, dress
from pointlab.data.builtin.objects import CLASSES, PARTS
from pointlab.data.builtin.portraits import ELEVATIONS, take_portraits
from pointlab.data.builtin.primitives import box
from pointlab.data.pictures import decode_colour
from pointlab.geometry.cameras import is_inside, project

SHAPES = Shapes(num_train_per_class=1, num_test_per_class=0, num_points=256, num_views=3, view_size=64)


@pytest.fixture(scope="module")
def clouds() -> list:
    return SHAPES.read(None, SHAPES.index(None).rows[::4])


def eyes(cloud) -> np.ndarray:
    return np.stack([np.linalg.inv(view.colour.pose)[:3, 3] for view in cloud.views])


def test_clouds_are_the_same_with_pictures_as_without(clouds):
    plain = Shapes(num_train_per_class=1, num_test_per_class=0, num_points=256)
    for cloud, other in zip(clouds, plain.read(None, plain.index(None).rows[::4]), strict=True):
        assert other.views == ()
        assert len(cloud.views) == 3
        for name in ("points", "normals", "point_labels"):
            np.testing.assert_array_equal(getattr(cloud, name), getattr(other, name))


def test_pictures_are_the_same_whatever_the_order_of_reading_and_the_size_of_the_cloud(clouds):
    rows = SHAPES.index(None).rows[::4]
    again = SHAPES.model_copy(update={"num_points": 64}).read(None, rows[::-1])[::-1]
    for cloud, other in zip(clouds, again, strict=True):
        assert [v.colour.content for v in cloud.views] == [v.colour.content for v in other.views]
    assert len({v.colour.content for cloud in clouds for v in cloud.views}) == 3 * len(clouds)


def test_the_whole_cloud_projects_into_each_picture_onto_the_object(clouds):
    for cloud in clouds:
        points = torch.from_numpy(cloud.points).double()
        for view in cloud.views:
            picture = decode_colour(view.colour.content)
            assert picture.shape == (64, 64, 3)
            pixels, depth = project(points, view.colour.camera, torch.from_numpy(view.colour.pose))
            assert is_inside(pixels, depth, view.colour.camera).all()
            columns, rows = pixels.round().long().numpy().T
            assert np.mean(picture[rows, columns].min(1) < 240) > 0.9
            # and it fills a good part of it
            assert max(np.ptp(columns), np.ptp(rows)) > 28


def test_cameras_stand_evenly_around_at_the_elevations_promised(clouds):
    starts = []
    for cloud in clouds:
        centre = (cloud.points.min(0) + cloud.points.max(0)) / 2
        x, y, z = (eyes(cloud) - centre).T
        azimuths = np.degrees(np.arctan2(x, z))
        steps = np.diff(azimuths, append=azimuths[0]) % 360
        np.testing.assert_allclose(steps, 120, atol=5)  # the centre is that of a sparse sample
        elevations = np.degrees(np.arctan2(y, np.hypot(x, z)))
        assert np.all((elevations > ELEVATIONS[0] - 3) & (elevations < ELEVATIONS[1] + 3))
        starts.append(azimuths[0] % 120)
    assert np.ptp(starts) > 10


def test_a_cube_is_pictured_in_its_colours_before_white():
    cube = Assembly((Part("leaf", box(1.0, 1.0, 1.0), shift(0, 0.5, 0)),), "a cube")
    (view,) = take_portraits(cube, 1, 64, np.random.default_rng(0))
    picture = decode_colour(view.colour.content).astype(int)
    assert picture[0, 0].min() > 250
    middle = picture[24:40, 24:40]
    assert np.all(middle[..., 1] > middle[..., 0])  # leaves are green
    assert np.all(middle[..., 1] > middle[..., 2])


def test_materials_are_named_only_where_they_exist():
    known = {part for parts in PARTS.values() for part in parts}
    assert set(PART_MATERIALS) <= known
    assert {name for names in PART_MATERIALS.values() for name in names} <= set(MATERIALS)


def test_parts_of_one_name_are_alike_but_books_differ():
    random = np.random.default_rng(1)
    for assembly in (
        CLASSES[name](random) for name in ("chair", "shelf", "shelf", "shelf") for _ in range(5)
    ):
        materials, rows = dress(assembly, random)
        by_name: dict[str, set[int]] = {}
        for part, row in zip(assembly.parts, rows, strict=True):
            by_name.setdefault(part.name, set()).add(int(row))
        books = sum(part.name == "book" for part in assembly.parts)
        assert all(len(found) == (books if name == "book" else 1) for name, found in by_name.items())
        assert set(rows) == set(range(len(materials)))


@pytest.mark.parametrize("name", MATERIALS)
def test_textures_lie_in_range_vary_and_belong_to_the_place_alone(name):
    random = np.random.default_rng(2)
    skins = draw_skins([name, name], random)
    points = random.uniform(-2, 2, size=(500, 3))
    colours = skins.paint(np.zeros(500, dtype=np.int64), points)
    assert np.all((colours >= 0) & (colours <= 1))
    assert colours.std(0).max() > 0.001
    np.testing.assert_array_equal(skins.paint(np.zeros(1, dtype=np.int64), points[7:8]), colours[7:8])
    other = skins.paint(np.ones(500, dtype=np.int64), points)
    assert not np.allclose(other, colours, atol=0.01)
