"""Grids of growing cells over one batch, and the kernel maps on them, made once and only where asked for."""

from functools import cached_property

from jaxtyping import Float, Int64
from torch import Tensor

from pointlab.geometry.kernel_maps import KernelMap, strided_map, submanifold_map
from pointlab.geometry.segments import Segments
from pointlab.geometry.voxels import Voxels, voxelise


class VoxelLevel:
    """The cells of one size that hold points; `places` say which of them each real point is in."""

    def __init__(self, voxels: Voxels, places: Int64[Tensor, " points"]) -> None:
        self.voxels = voxels
        self.places = places
        self._maps: dict[int, KernelMap] = {}

    @classmethod
    def of(
        cls, points: Float[Tensor, "batch points 3"], counts: Int64[Tensor, " batch"], voxel_size: float
    ) -> "VoxelLevel":
        """The finest level of a batch; DataError as `voxelise`."""
        voxels, places = voxelise(points, counts, voxel_size)
        return cls(voxels, places[places >= 0])

    @cached_property
    def points(self) -> Segments:
        """The points in each cell."""
        return Segments.of(self.places, len(self.voxels))

    @cached_property
    def sizes(self) -> list[int]:
        """How many cells each cloud has."""
        ends = self.voxels.ends.tolist()
        return [end - start for start, end in zip([0, *ends], ends, strict=False)]

    def around(self, kernel_size: int) -> KernelMap:
        """The map of an odd kernel on these cells."""
        if kernel_size not in self._maps:
            self._maps[kernel_size] = submanifold_map(self.voxels, kernel_size)
        return self._maps[kernel_size]

    @cached_property
    def coarser(self) -> tuple["VoxelLevel", KernelMap]:
        """The level of twice the cells' size, and the strided map to it."""
        voxels, parents, parts = self.voxels.coarser()
        return VoxelLevel(voxels, parents[self.places]), strided_map(parents, parts, len(voxels))
