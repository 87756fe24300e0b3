"""Sparse convolutions against torch's dense ones on the same grid, zero where there is no cell."""

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from pointlab.backbones.sparse_convolution import SparseConvolution
from pointlab.geometry import KernelMap, VoxelLevel

EDGE = 8
WIDTHS = [(5, 7), (48, 48)]
"""Few channels, and so many that another library may multiply them."""
Dense = Callable[[Tensor, Tensor], Tensor]


def level() -> VoxelLevel:
    """Two clouds in a cube of eight cells along each edge, and at its borders too."""
    points = torch.randint(EDGE, (2, 90, 3), generator=torch.Generator().manual_seed(0)) + 0.5
    return VoxelLevel.of(points, torch.tensor([90, 70]), 1.0)


def on_grid(rows: Tensor, level: VoxelLevel, edge: int) -> Tensor:
    """The rows at their cells in a dense grid [clouds, channels, edge, edge, edge]."""
    grid = rows.new_zeros(2, edge, edge, edge, rows.shape[1])
    return grid.index_put(tuple(level.voxels.cells.T), rows).permute(0, 4, 1, 2, 3)


def at_cells(grid: Tensor, level: VoxelLevel) -> Tensor:
    return grid.permute(0, 2, 3, 4, 1)[tuple(level.voxels.cells.T)]


def submanifold(kernel_size: int) -> tuple[VoxelLevel, VoxelLevel, KernelMap, int, Dense]:
    def dense(grid: Tensor, weight: Tensor) -> Tensor:
        kernel = weight.permute(2, 1, 0).unflatten(2, (kernel_size,) * 3)
        return F.conv3d(grid, kernel, padding=kernel_size // 2)

    found = level()
    return found, found, found.around(kernel_size), kernel_size**3, dense


def strided() -> tuple[VoxelLevel, VoxelLevel, KernelMap, int, Dense]:
    fine = level()
    coarse, kernel_map = fine.coarser
    return (
        fine,
        coarse,
        kernel_map,
        8,
        lambda grid, weight: F.conv3d(grid, weight.permute(2, 1, 0).unflatten(2, (2, 2, 2)), stride=2),
    )


def transposed() -> tuple[VoxelLevel, VoxelLevel, KernelMap, int, Dense]:
    fine = level()
    coarse, kernel_map = fine.coarser
    return (
        coarse,
        fine,
        kernel_map.transposed,
        8,
        lambda grid, weight: F.conv_transpose3d(
            grid, weight.permute(1, 2, 0).unflatten(2, (2, 2, 2)), stride=2
        ),
    )


CASES = {
    "kernel of 1": lambda: submanifold(1),
    "kernel of 3": lambda: submanifold(3),
    "kernel of 5": lambda: submanifold(5),
    "strided": strided,
    "transposed": transposed,
}


@pytest.mark.parametrize("widths", WIDTHS)
@pytest.mark.parametrize("case", CASES)
def test_it_is_the_dense_convolution_with_its_gradients(case: str, widths: tuple[int, int]) -> None:
    source, target, kernel_map, num_places, dense = CASES[case]()
    torch.manual_seed(0)
    convolution = SparseConvolution(*widths, num_places)
    rows = torch.randn(len(source.voxels), widths[0], requires_grad=True)
    edge = EDGE // 2 if case == "transposed" else EDGE
    found = convolution(rows, kernel_map)
    expected = at_cells(dense(on_grid(rows, source, edge), convolution.weight), target)
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)
    asked = torch.randn_like(found) / len(found) ** 0.5
    gradients = [torch.autograd.grad(out, (rows, convolution.weight), asked) for out in (found, expected)]
    for own, of_dense in zip(*gradients, strict=True):
        torch.testing.assert_close(own, of_dense, atol=1e-5, rtol=1e-5)


def test_the_number_of_threads_does_not_change_a_bit() -> None:
    kernel_map, rows = level().around(3), torch.randn(len(level().voxels), 48)
    convolution = SparseConvolution(48, 48, 27)
    alone = convolution(rows, kernel_map)
    torch.set_num_threads(2)
    assert torch.equal(convolution(rows, kernel_map), alone)


def test_under_autocast_products_are_rounded_and_gradients_of_weights_are_whole() -> None:
    kernel_map, rows = level().around(3), torch.randn(len(level().voxels), 12)
    convolution = SparseConvolution(12, 16, 27)
    exact = convolution(rows, kernel_map)
    with torch.autocast("cpu", torch.bfloat16):
        rounded = convolution(rows, kernel_map)
    assert rounded.dtype == torch.bfloat16
    torch.testing.assert_close(rounded.float(), exact, atol=0.05, rtol=0.05)
    (of_exact,) = torch.autograd.grad(exact.sum(), convolution.weight)
    (of_rounded,) = torch.autograd.grad(rounded.float().sum(), convolution.weight)
    assert of_rounded.dtype == torch.float32
    torch.testing.assert_close(of_rounded, of_exact, atol=0.1, rtol=0.05)
