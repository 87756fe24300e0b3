"""Cells that hold points, against coordinates that are rounded down one by one."""

import pytest
import torch
from torch import Tensor

from pointlab.errors import DataError
from pointlab.geometry import VoxelLevel, voxelise

COUNTS = torch.tensor([60, 45])
SIZE = 0.25


def clouds() -> Tensor:
    """Two clouds around the origin, so that coordinates are negative too; padding lies in a cell as well."""
    points = torch.randn(2, 60, 3, generator=torch.Generator().manual_seed(0))
    points[1, 45:] = 0
    return points


def cells_by_hand(points: Tensor, size: float) -> list[list[tuple[int, ...]]]:
    """The cell of every real point."""
    return [
        [tuple(torch.floor(point / size).int().tolist()) for point in points[cloud, :count]]
        for cloud, count in enumerate(COUNTS.tolist())
    ]


def test_points_share_a_cell_exactly_where_their_coordinates_round_down_alike() -> None:
    points = clouds()
    voxels, places = voxelise(points, COUNTS, SIZE)
    by_hand = cells_by_hand(points, SIZE)
    assert len(voxels) == sum(len(set(cells)) for cells in by_hand)
    assert (places[1, 45:] == -1).all()
    for cloud, cells in enumerate(by_hand):
        found = voxels.cells[places[cloud, : len(cells)]]
        steps = found[:, 1:] - torch.tensor(cells)
        assert (found[:, 0] == cloud).all()
        assert (steps == steps[0]).all()  # the same coordinates, but for where they begin


def test_cells_ascend_by_cloud_and_coordinates_and_say_where_each_cloud_ends() -> None:
    voxels, _ = voxelise(clouds(), COUNTS, SIZE)
    rows = [tuple(cell) for cell in voxels.cells.tolist()]
    assert rows == sorted(set(rows))
    assert voxels.ends.tolist() == [sum(row[0] <= cloud for row in rows) for cloud in range(2)]


def test_coarser_cells_are_those_of_twice_the_size() -> None:
    """Wherever the cloud lies: the grid keeps its place at the origin."""
    points = clouds()
    level = VoxelLevel.of(points, COUNTS, SIZE)
    for size in (2 * SIZE, 4 * SIZE):
        level, _ = level.coarser
        expected, places = voxelise(points, COUNTS, size)
        assert torch.equal(level.places, places[places >= 0])
        assert level.sizes == torch.bincount(expected.cells[:, 0]).tolist()


def test_the_cells_of_a_cloud_do_not_depend_on_the_others() -> None:
    points = clouds()
    _, together = voxelise(points, COUNTS, SIZE)
    _, alone = voxelise(points[1:, :45], COUNTS[1:], SIZE)
    assert torch.equal(together[1:, :45] - together[1, :45].min(), alone)


@pytest.mark.parametrize("far", [1e6, float("nan")])
def test_a_cloud_of_too_many_cells_is_refused(far: float) -> None:
    points = clouds()
    points[1, 3, 2] = far
    with pytest.raises(DataError, match=r"spans .* cells of 0\.25.*raise voxel_size"):
        voxelise(points, COUNTS, SIZE)
