"""Cameras: exact round trips, and pictures whose geometry survives resizing, cropping and normalisation."""

import math

import numpy as np
import pytest
import torch

from pointlab.geometry.cameras import (
    Pinhole,
    back_project,
    centred_pinhole,
    depth_to_points,
    is_inside,
    look_at,
    pose_after,
    project,
    transform,
)

CAMERA = Pinhole(width=16, height=12, fx=14.0, fy=15.0, cx=7.2, cy=5.9)


@pytest.fixture
def pose() -> torch.Tensor:
    """A camera above and beside the origin that looks past it."""
    eye, target = torch.tensor([[1.0, 2.0, 3.0], [0.2, 0.1, -0.3]], dtype=torch.float64)
    return look_at(eye, target)


def every_pixel(camera: Pinhole) -> torch.Tensor:
    rows, columns = torch.meshgrid(torch.arange(camera.height), torch.arange(camera.width), indexing="ij")
    return torch.stack([columns, rows], 2).reshape(-1, 2).double()


def test_a_pixel_with_a_depth_comes_back_to_itself(pose):
    pixels = every_pixel(CAMERA)
    depth = torch.linspace(0.3, 9.0, len(pixels), dtype=torch.float64)
    found, far = project(back_project(pixels, depth, CAMERA, pose), CAMERA, pose)
    torch.testing.assert_close(found, pixels, rtol=1e-12, atol=1e-10)
    torch.testing.assert_close(far, depth, rtol=1e-12, atol=0)
    assert torch.equal(found.round(), pixels)


def test_a_point_comes_back_to_itself(pose):
    points = torch.from_numpy(np.random.default_rng(0).normal(size=(500, 3)))
    pixels, depth = project(points, CAMERA, pose)
    assert depth.min() > 0
    torch.testing.assert_close(back_project(pixels, depth, CAMERA, pose), points, rtol=1e-9, atol=1e-12)


def test_a_camera_without_a_pose_sees_right_as_x_and_down_as_y():
    points = torch.tensor([[0.0, 0, 2], [1, 0, 2], [0, 1, 2], [0, 0, -2]], dtype=torch.float64)
    pixels, depth = project(points, CAMERA, torch.eye(4, dtype=torch.float64))
    expected = [[7.2, 5.9], [7.2 + 7.0, 5.9], [7.2, 5.9 + 7.5]]
    torch.testing.assert_close(pixels[:3], torch.tensor(expected, dtype=torch.float64))
    assert depth.tolist() == [2, 2, 2, -2]


def test_looking_at_a_point_puts_it_in_the_middle_at_its_distance_with_up_upwards():
    eye = torch.tensor([[0.0, 0, 5], [4, 1, 0]], dtype=torch.float64)
    target = torch.tensor([0.0, 1, 0], dtype=torch.float64)
    poses = look_at(eye, target.expand_as(eye))
    for pose, place in zip(poses, eye, strict=True):
        torch.testing.assert_close(pose[:3, :3] @ pose[:3, :3].T, torch.eye(3, dtype=torch.float64))
        assert torch.linalg.det(pose[:3, :3]) == pytest.approx(1)
        pixels, depth = project(torch.stack([target, target + torch.tensor([0, 0.1, 0])]), CAMERA, pose)
        torch.testing.assert_close(pixels[0], torch.tensor([CAMERA.cx, CAMERA.cy], dtype=torch.float64))
        assert depth[0].item() == pytest.approx((target - place).norm().item())
        assert pixels[1, 1] < pixels[0, 1]
    # from +z, +x is to the right
    assert transform(torch.tensor([1.0, 0, 0], dtype=torch.float64), poses[0])[0] > 0


def test_the_field_of_view_spans_the_outer_edges_of_the_shorter_side():
    camera = centred_pinhole(30, 20, math.radians(90))
    edge = torch.tensor([[14.5, -0.5], [14.5, 19.5]], dtype=torch.float64)
    points = back_project(edge, torch.ones(2).double(), camera, torch.eye(4).double())
    torch.testing.assert_close(points[:, 1], torch.tensor([-1.0, 1.0], dtype=torch.float64))
    assert points[:, 0].abs().max() < 1e-12


def test_a_depth_image_gives_the_plane_it_shows(pose):
    """A tilted plane n.x = 1 seen pixel by pixel: the points lie on it, in the order of their pixels."""
    pixels = every_pixel(CAMERA)
    rays = back_project(pixels, torch.ones(len(pixels)).double(), CAMERA, torch.eye(4).double())
    normal = torch.tensor([0.1, -0.2, 0.4], dtype=torch.float64)
    depth = (1 / (rays @ normal)).view(CAMERA.height, CAMERA.width)
    points, found = depth_to_points(depth, CAMERA, pose)
    assert torch.equal(found, pixels)
    torch.testing.assert_close(transform(points, pose) @ normal, torch.ones(len(points)).double())


@pytest.mark.parametrize("gap", [0.0, -1.0, float("nan"), float("inf")])
def test_pixels_without_a_measurement_have_no_point(gap):
    depth = torch.ones(CAMERA.height, CAMERA.width, dtype=torch.float64)
    depth[3, 4] = gap
    points, pixels = depth_to_points(depth, CAMERA, torch.eye(4).double())
    assert len(points) == CAMERA.height * CAMERA.width - 1
    assert [4, 3] not in pixels.tolist()


def test_the_pose_follows_a_cloud_that_is_centred_and_scaled(pose):
    points = torch.from_numpy(np.random.default_rng(1).normal(size=(100, 3)))
    centre, radius = points.mean(0), 2.5
    stored = (points - centre) / radius
    before, after = project(points, CAMERA, pose), project(stored, CAMERA, pose_after(pose, centre, radius))
    torch.testing.assert_close(after, before, rtol=1e-12, atol=1e-10)
    back = back_project(*after, CAMERA, pose_after(pose, centre, radius))
    torch.testing.assert_close(back, stored, rtol=1e-9, atol=1e-12)
    both = pose_after(torch.stack([pose, pose]), centre, radius)
    torch.testing.assert_close(both[1], pose_after(pose, centre, radius))


def test_resizing_moves_pixels_as_a_resized_picture_does():
    """Pixel (0, 0) of a picture half the size is the mean of the four first ones, so it lies between them."""
    half = CAMERA.resized(8, 6)
    point = back_project(
        torch.tensor([[0.5, 0.5], [12.5, 8.5]], dtype=torch.float64),
        torch.tensor([1.0, 2.0], dtype=torch.float64),
        CAMERA,
        torch.eye(4).double(),
    )
    pixels, _ = project(point, half, torch.eye(4).double())
    torch.testing.assert_close(pixels, torch.tensor([[0.0, 0.0], [6.0, 4.0]], dtype=torch.float64))
    back = half.resized(16, 12)
    np.testing.assert_allclose([back.fx, back.fy, back.cx, back.cy], [14.0, 15.0, 7.2, 5.9], rtol=1e-12)


def test_cropping_shifts_pixels_by_the_corner(pose):
    points = torch.from_numpy(np.random.default_rng(2).normal(size=(10, 3)))
    window = CAMERA.cropped(3, 2, 5, 6)
    assert (window.width, window.height) == (5, 6)
    whole, part = (project(points, camera, pose)[0] for camera in (CAMERA, window))
    torch.testing.assert_close(part, whole - torch.tensor([3.0, 2.0], dtype=torch.float64))


def test_the_picture_ends_half_a_pixel_beyond_its_outer_centres():
    pixels = torch.tensor([[-0.4, 0], [-0.6, 0], [15.4, 11.4], [15.6, 0], [0, 11.6], [1, 1]]).double()
    depth = torch.tensor([1.0, 1, 1, 1, 1, -1]).double()
    assert is_inside(pixels, depth, CAMERA).tolist() == [True, False, True, False, False, False]


def test_a_point_moves_as_if_it_were_alone(pose):
    points = torch.from_numpy(np.random.default_rng(3).normal(size=(257, 3)))
    together = transform(points, pose)
    assert torch.equal(together[100], transform(points[100], pose))
