"""The GPU gives what the CPU gives; these run where there is one."""

import pytest
import torch

from pointlab.geometry import (
    ball_neighbours,
    chamfer_distance,
    estimate_normals,
    farthest_point_sample,
    nearest_neighbours,
)

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")

COUNTS = torch.tensor([200, 300])
POINTS = {
    "random": torch.randn(2, 300, 3, generator=torch.Generator().manual_seed(0)),
    "grid": torch.randint(4, (2, 300, 3), generator=torch.Generator().manual_seed(0)).float(),
}


@pytest.mark.parametrize("points", POINTS.values(), ids=POINTS)
@pytest.mark.parametrize("skip_near_origin", [False, True])
def test_the_same_rows_are_sampled(points, skip_near_origin):
    samples = farthest_point_sample(points, 90, COUNTS, skip_near_origin=skip_near_origin)
    on_gpu = farthest_point_sample(points.cuda(), 90, COUNTS.cuda(), skip_near_origin=skip_near_origin)
    assert torch.equal(on_gpu.cpu(), samples)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("points", POINTS.values(), ids=POINTS)
@pytest.mark.parametrize("num_neighbours", [1, 20])
def test_the_same_neighbours_are_found(points, num_neighbours, dtype):
    points = points.to(dtype)
    distances, rows = nearest_neighbours(points[:, :50], points, num_neighbours, COUNTS)
    gpu_distances, gpu_rows = nearest_neighbours(
        points[:, :50].cuda(), points.cuda(), num_neighbours, COUNTS.cuda()
    )
    assert torch.equal(gpu_rows.cpu(), rows)
    torch.testing.assert_close(gpu_distances.cpu(), distances)


@pytest.mark.parametrize("points", POINTS.values(), ids=POINTS)
@pytest.mark.parametrize("radius", [0.3, 1.5])
def test_the_same_balls_are_found(points, radius):
    centres = torch.arange(50).repeat(2, 1)
    rows = ball_neighbours(points, centres, radius, 20, COUNTS)
    on_gpu = ball_neighbours(points.cuda(), centres.cuda(), radius, 20, COUNTS.cuda())
    assert torch.equal(on_gpu.cpu(), rows)


def test_the_same_distances_and_normals_are_measured():
    points = POINTS["random"]
    distance = chamfer_distance(points, points.flip(0), norm="l1", source_counts=COUNTS)
    on_gpu = chamfer_distance(points.cuda(), points.flip(0).cuda(), norm="l1", source_counts=COUNTS.cuda())
    torch.testing.assert_close(on_gpu.cpu(), distance)
    normals = estimate_normals(points, 8, COUNTS)
    torch.testing.assert_close(estimate_normals(points.cuda(), 8, COUNTS.cuda()).cpu(), normals)
