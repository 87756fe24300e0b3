"""Convolutions over the cells of a grid that hold points: exactly those of a dense grid, zero elsewhere.

For each place of the kernel, the rows of the cells that it joins are gathered and multiplied with the place's
matrix; then all products are added up by the cell they belong to (`Segments`). No place is multiplied where
there is nothing, and what is added up follows one order, whatever the number of threads.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from pointlab.backbones.products import multiply_into
from pointlab.geometry import KernelMap, Segments
from pointlab.geometry.kernel_maps import Block

Matrix = Float[Tensor, "_ _"]
Rows = Float[Tensor, "_ _"]
"""Of cells, input or output ones."""


class SparseConvolution(nn.Module):
    """A convolution without bias; the map says where from and where to: to the same cells, coarser or finer.

    `weight` is [places, inputs, outputs], its places in the order of `KernelMap`: that of `conv3d` is
    `weight.permute(2, 1, 0)` with the places as a cube, that of `conv_transpose3d` `weight.permute(1, 2, 0)`.
    """

    def __init__(self, num_inputs: int, num_outputs: int, num_places: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(num_places, num_inputs, num_outputs))
        nn.init.normal_(self.weight, std=(2 / (num_places * num_outputs)) ** 0.5)  # He et al., by outputs

    def forward(self, rows: Rows, kernel_map: KernelMap) -> Rows:
        """A row for each of the map's output cells; under autocast in its precision."""
        weight: Tensor = self.weight
        device = rows.device.type
        if torch.is_autocast_enabled(device):
            dtype = torch.get_autocast_dtype(device)
            rows, weight = rows.to(dtype), weight.to(dtype)
        result: Tensor = _Convolution.apply(rows, weight, kernel_map)  # type: ignore[no-untyped-call]
        return result


class _Convolution(torch.autograd.Function):
    """Products gathered, multiplied and added up; backwards the same with map and matrices transposed."""

    @staticmethod
    def forward(ctx: Any, rows: Tensor, weight: Tensor, kernel_map: KernelMap) -> Tensor:
        ctx.save_for_backward(rows, weight)
        ctx.kernel_map = kernel_map
        matrices = weight.unbind()
        products = rows.new_empty(len(kernel_map.inputs), weight.shape[2])
        for (place, inputs, _), block in _blocks(kernel_map, products):
            multiply_into(block, rows.index_select(0, inputs), matrices[place])
        return _added_up(products, rows, matrices, kernel_map)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, Tensor | None, None]:
        (rows, weight), turned = ctx.saved_tensors, ctx.kernel_map.transposed
        needs_rows, needs_weight, _ = ctx.needs_input_grad
        gradient = gradient.contiguous()
        matrices = weight.transpose(1, 2).unbind()
        for_weight = torch.empty_like(weight) if needs_weight else None
        products = gradient.new_empty(len(turned.inputs) if needs_rows else 0, rows.shape[1])
        for (place, inputs, outputs), block in _blocks(turned, products):
            gathered = gradient.index_select(0, inputs)
            if needs_rows:
                multiply_into(block, gathered, matrices[place])
            if for_weight is not None:
                torch.mm(rows.index_select(0, outputs).t(), gathered, out=for_weight[place])
        if for_weight is not None and turned.centre is not None:
            torch.mm(rows.t(), gradient, out=for_weight[turned.centre])
        return _added_up(products, gradient, matrices, turned) if needs_rows else None, for_weight, None


def _blocks(kernel_map: KernelMap, products: Rows) -> Iterator[tuple[Block, Rows]]:
    """Each block of pairs with the rows for its products; without products there are none."""
    sizes = kernel_map.sizes if len(products) else [0] * len(kernel_map.sizes)
    return zip(kernel_map.blocks, products.split(sizes), strict=True)


def _added_up(products: Rows, rows: Rows, matrices: Sequence[Matrix], kernel_map: KernelMap) -> Rows:
    """The products by output cell, and those of the centre, where every cell has one of its own."""
    sums = kernel_map.by_output.sum(products)
    if kernel_map.centre is None:
        return sums
    own = torch.empty_like(sums)
    multiply_into(own, rows, matrices[kernel_map.centre])
    return own.add_(sums)


def spread(rows: Rows, members: Segments, groups: Tensor) -> Rows:
    """The row of each member's group; the gradient of a group is the sum over its members."""
    result: Tensor = _Spread.apply(rows, members, groups)  # type: ignore[no-untyped-call]
    return result


class _Spread(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, rows: Tensor, members: Segments, groups: Tensor) -> Tensor:
        ctx.members = members
        return rows.index_select(0, groups)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        return ctx.members.sum(gradient.contiguous()), None, None
