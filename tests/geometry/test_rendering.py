"""Splatting: near hides far, no gaps, the nearest disc of a mosaic, the same bits on any threads."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from pointlab.geometry import estimate_normals
from pointlab.geometry.cameras import (
    Pinhole,
    back_project,
    centred_pinhole,
    depth_to_points,
    look_at,
    pose_after,
    project,
)
from pointlab.geometry.rendering import AMBIENT, FARTHEST, paint, render, shade_depth, shade_normals
from pointlab.geometry.splatting import Splats, closing_size, splat

CAMERA = Pinhole(width=24, height=18, fx=20.0, fy=20.0, cx=11.5, cy=8.5)
AHEAD = torch.eye(4, dtype=torch.float64)[None]
FRONTAL = torch.tensor([0.0, 0.0, -1.0])


@pytest.fixture
def random() -> np.random.Generator:
    return np.random.default_rng(0)


def square(depth: float, half: float, spacing: float) -> torch.Tensor:
    """A grid of points on a frontal square before `AHEAD`."""
    ticks = torch.arange(-half, half + spacing / 2, spacing)
    x, y = torch.meshgrid(ticks, ticks, indexing="ij")
    return torch.stack([x, y, torch.full_like(x, depth)], 2).reshape(-1, 3)


def closed(points: torch.Tensor, normals: torch.Tensor | None = None) -> Splats:
    return Splats(points, closing_size(points), normals)


def ball(count: int, random: np.random.Generator) -> torch.Tensor:
    points = random.normal(size=(count, 3))
    return torch.from_numpy(points / np.linalg.norm(points, axis=1, keepdims=True)).float()


def around(num_views: int, distance: float = 3.0) -> torch.Tensor:
    angles = torch.arange(num_views, dtype=torch.float64) * 2 * math.pi / num_views
    eyes = distance * torch.stack([angles.sin(), 0.3 + 0 * angles, angles.cos()], 1)
    return look_at(eyes, torch.zeros_like(eyes))


def naive(points, camera, size, normals, tolerance_share):
    """Index and depth of each pixel by a loop over pixels and points; the camera is `AHEAD`."""
    index = np.full((camera.height, camera.width), -1)
    depth = np.zeros((camera.height, camera.width))
    for row, column in np.ndindex(index.shape):
        ray = np.array([(column - camera.cx) / camera.fx, (row - camera.cy) / camera.fy, 1.0])
        found = []
        for number, (point, normal) in enumerate(zip(points, normals, strict=True)):
            u = camera.fx * point[0] / point[2] + camera.cx
            v = camera.fy * point[1] / point[2] + camera.cy
            met = ray * (point @ normal) / (ray @ normal)
            is_met = np.linalg.norm(met - point) <= size[number]
            if is_met or max(abs(column - u), abs(row - v)) <= 0.5:
                far = met[2] if is_met else point[2]
                found.append((far, (column - u) ** 2 + (row - v) ** 2, number))
        if found:
            nearest = min(found)[0]
            candidates = [f for f in found if f[0] <= nearest + tolerance_share * size[f[2]]]
            depth[row, column], _, index[row, column] = min(candidates, key=lambda f: f[1:])
    return index, depth


def test_a_near_square_hides_the_far_one_without_gaps():
    near, far = square(2.0, 0.4, 0.05), square(4.0, 2.6, 0.1)
    points = torch.cat([far, near])
    raster = splat(closed(points), CAMERA, AHEAD)
    assert raster.is_hit.all()
    is_near = raster.index[0] >= len(far)
    row, column = torch.meshgrid(torch.arange(18.0), torch.arange(24.0), indexing="ij")
    off = torch.maximum((row - CAMERA.cy).abs(), (column - CAMERA.cx).abs()) / CAMERA.fx * 2.0
    assert is_near[off <= 0.4].all()
    assert not is_near[off > 0.4 + 0.15].any()  # beyond the reach of the outermost discs
    torch.testing.assert_close(raster.depth[0], torch.where(is_near, 2.0, 4.0))


@pytest.mark.parametrize("has_normals", [False, True])
@pytest.mark.parametrize("slant", [0.0, 0.5])
def test_each_pixel_of_a_surface_shows_the_point_whose_projection_is_nearest(slant, has_normals):
    x, y, _ = square(2.0, 1.3, 0.13).unbind(1)
    points = torch.stack([x, y * math.cos(slant), 2.0 + y * math.sin(slant)], 1)
    normals = torch.tensor([[0.0, math.sin(slant), -math.cos(slant)]]).expand_as(points)
    raster = splat(closed(points, normals if has_normals else None), CAMERA, AHEAD)
    pixels, _ = project(points.double(), CAMERA, AHEAD[0])
    row, column = torch.meshgrid(torch.arange(18.0), torch.arange(24.0), indexing="ij")
    grid = torch.stack([column, row], 2).reshape(-1, 1, 2).double()
    distances = (grid - pixels).norm(dim=2)
    chosen = distances.gather(1, raster.index.view(-1, 1).clamp(min=0)).squeeze(1)
    is_inner = raster.is_hit.flatten()
    assert is_inner.float().mean() > 0.9
    torch.testing.assert_close(chosen[is_inner], distances.amin(1)[is_inner], rtol=0, atol=1e-5)


@pytest.mark.parametrize("has_normals", [False, True])
def test_splatting_equals_a_loop_over_pixels_and_points(has_normals, random):
    points = random.uniform((-1.2, -0.9, 1.5), (1.2, 0.9, 3.0), size=(60, 3))
    normals = random.normal(size=(60, 3)) * (1, 1, 2)
    normals /= np.linalg.norm(normals, axis=1, keepdims=True)
    size = np.full(60, 0.12)
    splats = Splats(
        torch.from_numpy(points).float(),
        torch.from_numpy(size).float(),
        torch.from_numpy(normals).float() if has_normals else None,
    )
    raster = splat(splats, CAMERA, AHEAD)
    facing = normals if has_normals else np.tile([0.0, 0.0, 1.0], (60, 1))
    index, depth = naive(points, CAMERA, size, facing, 0.1 if has_normals else 1.0)
    assert (raster.index[0].numpy() != index).mean() < 0.005  # the box of an ellipse is that of first order
    same = raster.index[0].numpy() == index
    np.testing.assert_allclose(raster.depth[0].numpy()[same], depth[same], rtol=1e-4)
    assert 0.2 < (index >= 0).mean() < 0.95


def test_of_points_in_one_place_the_first_row_is_seen():
    points = torch.tensor([[0.0, 0, 2]]).repeat(5, 1)
    raster = splat(Splats(points, torch.full((5,), 0.3)), CAMERA, AHEAD)
    assert raster.index.unique().tolist() == [-1, 0]


def test_a_lone_point_covers_the_pixel_it_falls_into_and_what_lies_behind_the_camera_none():
    pixel = torch.tensor([[5.3, 7.4]], dtype=torch.float64)
    point = back_project(pixel, torch.tensor([3.0]).double(), CAMERA, AHEAD[0]).float()
    raster = splat(Splats(torch.cat([point, -point]), torch.full((2,), 1e-4)), CAMERA, AHEAD)
    assert raster.is_hit.nonzero().tolist() == [[0, 7, 5]]
    assert raster.depth[0, 7, 5] == 3.0


def test_depths_of_discs_with_normals_are_those_of_the_plane():
    """A floor seen at a slant: where a pixel's ray meets y = 0, not where its nearest point lies."""
    ticks = torch.arange(-3, 3.01, 0.1)
    x, z = torch.meshgrid(ticks, ticks, indexing="ij")
    floor = torch.stack([x, torch.zeros_like(x), z], 2).reshape(-1, 3)
    normals = torch.tensor([[0.0, 1, 0]]).expand_as(floor)
    pose = look_at(torch.tensor([[0.3, 2.0, 1.5]]).double(), torch.zeros(1, 3).double())
    camera = CAMERA.resized(48, 36)  # whose pixels are everywhere smaller than the discs
    raster = splat(Splats(floor, torch.full((len(floor),), 0.11), normals), camera, pose)
    points, _ = depth_to_points(raster.depth[0].double(), camera, pose[0])
    assert raster.is_hit.all()
    assert points[:, 1].abs().max() < 1e-5


def test_a_random_ball_is_closed_from_all_sides(random):
    points = ball(3000, random)
    camera = centred_pinhole(48, 48, math.radians(45))
    raster = splat(closed(points, points), camera, around(6))
    eyes = torch.linalg.inv(around(6))[:, :3, 3]
    facing = (points[raster.index.clamp(min=0)] * eyes[:, None, None].float()).sum(3)
    assert (facing[raster.is_hit] > -0.2).float().mean() > 0.999
    # the outline is a circle: the tangent cone of the ball
    row, column = torch.meshgrid(torch.arange(48.0), torch.arange(48.0), indexing="ij")
    off = torch.hypot(row - camera.cy, column - camera.cx) / camera.fx
    limit = math.tan(math.asin(1 / eyes[0].norm().item()))
    assert raster.is_hit[:, off < 0.97 * limit].float().mean() > 0.998
    assert not raster.is_hit[:, off > 1.06 * limit].any()


def test_closed_surfaces_look_the_same_with_their_backs_left_out(random):
    points = ball(2000, random)
    camera = centred_pinhole(32, 32, math.radians(45))
    size = closing_size(points)
    whole, front = (splat(Splats(points, size, points, k), camera, around(3)) for k in (False, True))
    assert (whole.index == front.index).float().mean() > 0.97  # but at the outline and in a rare gap


def test_the_picture_of_a_normalised_cloud_is_that_of_the_cloud(random):
    points = ball(500, random) * 0.4 + torch.tensor([1.0, 2.0, 3.0])
    eye = torch.tensor([[1.5, 2.5, 5.0]]).double()
    pose = look_at(eye, torch.tensor([[1.0, 2.0, 3.0]]).double())
    centre, radius = points.double().mean(0), 0.4
    stored = ((points - centre) / radius).float()
    before = splat(closed(points, points), CAMERA, pose)
    after = splat(closed(stored, points), CAMERA, pose_after(pose, centre, radius))
    is_same = before.index == after.index
    assert is_same.float().mean() > 0.99  # rounding may move a pixel at an edge
    torch.testing.assert_close(after.depth[is_same], before.depth[is_same], rtol=1e-4, atol=1e-4)


def test_pictures_are_the_same_bits_on_one_thread_and_on_two(random):
    points = ball(20_000, random)
    camera = centred_pinhole(96, 96, math.radians(45))
    before, found = torch.get_num_threads(), []
    try:
        for threads in (1, 2):
            torch.set_num_threads(threads)
            found.append(render(closed(points, points), camera, around(2), supersampling=2))
    finally:
        torch.set_num_threads(before)
    assert torch.equal(*found)


def test_a_view_does_not_depend_on_the_others(random):
    splats, poses = closed(ball(800, random)), around(3)
    together, alone = splat(splats, CAMERA, poses), splat(splats, CAMERA, poses[1:2])
    assert torch.equal(together.index[1:2], alone.index)
    assert torch.equal(together.depth[1:2], alone.depth)


def test_light_falls_with_the_cosine_to_the_eye():
    points = torch.tensor([[0.0, 0, 2], [0.5, 0.2, 2]])
    tilted = torch.tensor([math.sin(1.0), 0, -math.cos(1.0)])
    splats = Splats(points, torch.full((2,), 0.01), torch.stack([tilted, FRONTAL]))
    raster = splat(splats, CAMERA, AHEAD)
    light = shade_normals(raster, splats, AHEAD)
    shown = {int(i): float(b) for i, b in zip(raster.index[0].flatten(), light[0].flatten(), strict=True)}
    assert shown[0] == pytest.approx(AMBIENT + (1 - AMBIENT) * math.cos(1.0), rel=1e-5)
    assert shown[1] == pytest.approx(AMBIENT + (1 - AMBIENT) * 2 / math.sqrt(4 + 0.29), rel=1e-5)
    assert shown[-1] == 1
    flipped = shade_normals(raster, replace(splats, normals=-splats.normals), AHEAD)
    assert torch.equal(flipped, light)


def test_a_cloud_without_normals_is_lit_by_estimated_ones_nearly_as_by_the_true(random):
    points = ball(2000, random)
    estimated = estimate_normals(points[None])[0]
    true, found = (render(closed(points, normals), CAMERA, around(2)) for normals in (points, estimated))
    assert (true - found).abs().mean() < 0.01
    assert true.std() > 0.05


def test_depth_is_shaded_from_near_to_far_in_each_view():
    points = torch.tensor([[0.0, 0, 2], [0.5, 0.2, 3], [-0.5, 0, 4]])
    light = shade_depth(splat(Splats(points, torch.full((3,), 0.01)), CAMERA, AHEAD.repeat(2, 1, 1)))
    assert sorted(light[1].unique().tolist()) == pytest.approx([FARTHEST, (1 + FARTHEST) / 2, 1.0])


def test_an_empty_view_is_all_background():
    points = torch.tensor([[0.0, 0, -2], [0.1, 0, -2]])
    pictures = render(closed(points), CAMERA, AHEAD, background=0.25)
    assert torch.equal(pictures, torch.full((1, 18, 24, 3), 0.25))


def test_colours_are_those_of_the_visible_points():
    points = torch.cat([square(2.0, 1.5, 0.1), square(3.0, 1.5, 0.1)])
    colours = torch.zeros_like(points)
    colours[: len(points) // 2, 0] = 1.0
    colours[len(points) // 2 :, 2] = 1.0
    painted = paint(splat(closed(points), CAMERA, AHEAD), colours)
    assert torch.equal(painted[0, 9, 12], torch.tensor([1.0, 0, 0]))
    assert not painted[..., 2].any()


def test_supersampling_is_the_mean_of_a_finer_picture(random):
    splats, poses = closed(ball(400, random)), around(2)
    fine = render(splats, CAMERA.resized(72, 54), poses)
    coarse = render(splats, CAMERA, poses, supersampling=3)
    np.testing.assert_allclose(coarse[1, 4, 7], fine[1, 12:15, 21:24].mean((0, 1)), rtol=1e-6)
    assert len(coarse.unique()) > len(render(splats, CAMERA, poses).unique())
