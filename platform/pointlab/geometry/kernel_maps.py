"""Kernel maps: which cells a sparse convolution adds up, and through which place of its kernel.

A convolution over cells that hold points is, for each place of the kernel, one matrix product over the pairs
of cells that the place joins; all other products are with zero. These pairs depend on where cells are and not
on channels or weights, so every convolution on the same cells shares them (Choy et al., "4D Spatio-Temporal
ConvNets: Minkowski Convolutional Neural Networks", CVPR 2019, section 3; Graham et al., "3D Semantic
Segmentation with Submanifold Sparse Convolutional Networks", CVPR 2018).
"""

from dataclasses import dataclass, replace
from functools import cached_property

import torch
from jaxtyping import Bool, Int32, Int64
from torch import Tensor

from pointlab.geometry.segments import Segments
from pointlab.geometry.voxels import STEPS, Voxels

NUM_PARTS = 8
"""Cells of half the edge that a cell is made of: the places of a kernel of 2 with a stride of 2."""

Block = tuple[int, Int32[Tensor, " pairs"], Int32[Tensor, " pairs"]]
"""A place of a kernel with the pairs of cells that it joins."""


@dataclass(frozen=True)
class KernelMap:
    """Pairs of an input and an output cell, in blocks that each belong to one place of the kernel.

    Places are numbered as a dense kernel's are when it is flattened, z fastest. `centre` is the place that
    joins every cell to itself: its pairs, one for each cell in order, are not listed.
    """

    inputs: Int32[Tensor, " pairs"]
    outputs: Int32[Tensor, " pairs"]
    sizes: tuple[int, ...]
    places: tuple[int, ...]
    by_output: Segments
    by_input: Segments
    centre: int | None = None

    @cached_property
    def blocks(self) -> list[Block]:
        """Each listed place of the kernel with the inputs and outputs that it joins."""
        pairs = (self.inputs.split(self.sizes), self.outputs.split(self.sizes))
        return list(zip(self.places, *pairs, strict=True))

    @cached_property
    def transposed(self) -> "KernelMap":
        """The map from outputs to inputs, through the same places: that of gradients."""
        return replace(
            self,
            inputs=self.outputs,
            outputs=self.inputs,
            by_output=self.by_input,
            by_input=self.by_output,
        )


def submanifold_map(voxels: Voxels, kernel_size: int) -> KernelMap:
    """The map of an odd kernel from cells to the same cells.

    If a place joins one cell to another, the opposite place joins the other to the one: half of the places
    are looked up, and the rest are the same pairs the other way round.
    """
    assert kernel_size % 2 == 1, "an even kernel has no cell in its middle"
    centre = kernel_size**3 // 2
    at, is_there = _lookup(voxels.keys, kernel_size)
    at, is_there = at[:centre], is_there[:centre]
    near = at[is_there]
    own = torch.arange(len(voxels), dtype=torch.int32, device=at.device).expand_as(at)[is_there]
    outputs = torch.cat([own, near])
    by_output = Segments.of(outputs, len(voxels))
    num_pairs, half = len(outputs), len(own)
    mirrored = torch.where(by_output.order < half, by_output.order + half, by_output.order - half)
    sizes = tuple(is_there.sum(1).tolist())
    assert sum(sizes) * 2 == num_pairs
    return KernelMap(
        inputs=torch.cat([near, own]),
        outputs=outputs,
        sizes=sizes * 2,
        places=(*range(centre), *range(2 * centre, centre, -1)),
        by_output=by_output,
        by_input=Segments(mirrored, by_output.starts),
        centre=centre,
    )


def _lookup(
    keys: Int64[Tensor, " voxels"], kernel_size: int
) -> tuple[Int32[Tensor, "places voxels"], Bool[Tensor, "places voxels"]]:
    """The cell at each place around every cell, and whether it is there; of the first half of all places.

    The cells of a column along z follow each other, so only its lowest is searched for: the next one, if it
    is there, comes right after the one before it.
    """
    radius = kernel_size // 2
    steps = torch.arange(-radius, radius + 1, device=keys.device)
    columns = (steps[:, None] * STEPS[0] + steps * STEPS[1]).flatten()[: kernel_size**2 // 2 + 1]
    lowest = keys + (columns[:, None] - radius)
    at = torch.searchsorted(keys, lowest, out_int32=True)
    beyond = torch.cat([keys, keys.new_full((1,), torch.iinfo(keys.dtype).max)])
    places, are_there = [], []
    for step in range(kernel_size):
        is_there = beyond.index_select(0, at.flatten()).view_as(at) == lowest + step
        places.append(at)
        are_there.append(is_there)
        at = at + is_there
    return torch.stack(places, dim=1).flatten(0, 1), torch.stack(are_there, dim=1).flatten(0, 1)


def strided_map(
    parents: Int64[Tensor, " voxels"], parts: Int64[Tensor, " voxels"], num_coarser: int
) -> KernelMap:
    """The map of a kernel of 2 with a stride of 2, from cells to those of twice the size.

    Its transposed map is that of the transposed convolution, back to the same cells.
    """
    by_part = Segments.of(parts, NUM_PARTS)
    outputs = parents.int().index_select(0, by_part.order)
    return KernelMap(
        inputs=by_part.order,
        outputs=outputs,
        sizes=tuple(by_part.sizes.tolist()),
        places=tuple(range(NUM_PARTS)),
        by_output=Segments.of(outputs, num_coarser),
        by_input=Segments.of(by_part.order, len(parents)),
    )
