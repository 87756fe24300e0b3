"""Surfaces of the built-in sets are sampled exactly, and sensors see what is in front and nothing else."""

import numpy as np
import pytest
from scipy.spatial import cKDTree

from pointlab.data.builtin.assembly import Assembly, Part, rod, shift, turn
from pointlab.data.builtin.objects.outlines import polygon, rectangle
from pointlab.data.builtin.optics import incidence, look_at, scan_lines, visible
from pointlab.data.builtin.primitives import Ring, Surface, Tube, box, frame_along, frustum, prism, spheroid
from pointlab.data.builtin.sensors import SENSORS, depth_noise, measure
from pointlab.data.builtin.surfels import Surfels

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
