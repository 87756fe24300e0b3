"""Kernel maps against loops over all pairs of cells, and sums over segments against loops over rows."""

from itertools import product

import pytest
import torch

from pointlab.geometry import KernelMap, Segments, VoxelLevel


def level() -> VoxelLevel:
    """Two crowded clouds of the same place, whose cells are therefore near each other, but for the cloud."""
    points = torch.randint(-3, 3, (2, 40, 3), generator=torch.Generator().manual_seed(0)) + 0.5
    return VoxelLevel.of(points, torch.tensor([40, 30]), 1.0)


def pairs_of(kernel_map: KernelMap, num_cells: int) -> set[tuple[int, int, int]]:
    """Every place with an input and an output that it joins, those of the centre with the others."""
    listed = {
        (place, *pair)
        for place, inputs, outputs in kernel_map.blocks
        for pair in zip(inputs.tolist(), outputs.tolist(), strict=True)
    }
    if kernel_map.centre is None:
        return listed
    return listed | {(kernel_map.centre, cell, cell) for cell in range(num_cells)}


@pytest.mark.parametrize("kernel_size", [1, 3, 5])
def test_an_odd_kernel_joins_the_cells_around_each_cell_of_its_cloud(kernel_size: int) -> None:
    cells = [tuple(cell) for cell in level().voxels.cells.tolist()]
    rows = {cell: row for row, cell in enumerate(cells)}
    reach = range(-(kernel_size // 2), kernel_size // 2 + 1)
    expected = {
        (place, rows[near], rows[cloud, x, y, z])
        for cloud, x, y, z in cells
        for place, (right, up, ahead) in enumerate(product(reach, repeat=3))
        if (near := (cloud, x + right, y + up, z + ahead)) in rows
    }
    assert pairs_of(level().around(kernel_size), len(cells)) == expected


def test_a_stride_joins_each_cell_to_the_one_that_it_is_a_part_of() -> None:
    fine = level()
    coarse, kernel_map = fine.coarser
    rows = {tuple(cell): row for row, cell in enumerate(coarse.voxels.cells.tolist())}
    expected = {
        (4 * (x % 2) + 2 * (y % 2) + z % 2, row, rows[cloud, x // 2, y // 2, z // 2])
        for row, (cloud, x, y, z) in enumerate(fine.voxels.cells.tolist())
    }
    assert pairs_of(kernel_map, 0) == expected
    turned = {(place, output, given) for place, given, output in expected}
    assert pairs_of(kernel_map.transposed, 0) == turned


def test_both_groupings_of_a_map_are_those_of_its_pairs() -> None:
    for kernel_map in (level().around(3), level().coarser[1]):
        for groups, found in (
            (kernel_map.outputs, kernel_map.by_output),
            (kernel_map.inputs, kernel_map.by_input),
        ):
            assert sorted(found.order.tolist()) == list(range(len(groups)))
            of_group = torch.repeat_interleave(torch.arange(len(found.sizes)), found.sizes)
            assert torch.equal(groups[found.order].long(), of_group)


@pytest.mark.parametrize("num_rows", [0, 9])
def test_a_segment_sums_its_rows_and_is_zero_without_any(num_rows: int) -> None:
    groups, rows = torch.arange(num_rows) % 3 + 1, torch.randn(num_rows, 4)
    expected = [
        sum((row for group, row in zip(groups, rows, strict=True) if group == each), torch.zeros(4))
        for each in range(5)
    ]
    torch.testing.assert_close(Segments.of(groups, 5).sum(rows), torch.stack(expected))
