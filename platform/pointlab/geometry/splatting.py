"""What a camera sees of a cloud: every point a small disc on its surface, the nearest disc wins a pixel.

Surface splatting (Zwicker et al., SIGGRAPH 2001) with a z-buffer in two passes: the first finds the
nearest depth of each pixel, the second gives the pixel to the disc, among those as near as that within a
tolerance, whose centre lies nearest to it. So a surface is divided among its points like a mosaic, and does
not flicker between discs that overlap. Both passes are minima over integers or floats, which no order of
summation can change: pictures are the same bits whatever the number of threads.
"""

from dataclasses import dataclass, fields
from typing import TypeVar

import torch
from jaxtyping import Bool, Float, Float32, Float64, Int64
from torch import Tensor

from pointlab.geometry.cameras import Pinhole, transform
from pointlab.geometry.neighbours import nearest_neighbours

CLOSING_NEIGHBOUR = 6
"""Discs that reach the sixth neighbour leave about one gap in 400 pixels of a random sample: a disc of that
radius expects six others in it, and misses them all with a probability of exp(-6)."""
_NEAR = 0.1
"""Points nearer than this many disc radii to the plane of the camera are not drawn."""
_WIDEST = 1 / 8
"""Share of a picture beyond which discs are cut off, so that points before the lens do not fill memory."""


@dataclass(frozen=True)
class Raster:
    """What is seen in each pixel: the row of the visible point, or -1, and the depth of its disc, or 0."""

    index: Int64[Tensor, "views height width"]
    depth: Float32[Tensor, "views height width"]

    @property
    def is_hit(self) -> Bool[Tensor, "views height width"]:
        """Where anything is seen."""
        return self.index >= 0


@dataclass(frozen=True)
class Splats:
    """A cloud as it is drawn: `size` is the radius of each point's disc, in the unit of the points.

    With `normals` the discs lie in the surface; without, they face the camera. `is_closed` says that the
    normals point out of closed surfaces, so that what faces away need not be drawn.
    """

    points: Float[Tensor, "points 3"]
    size: Float32[Tensor, " points"]
    normals: Float[Tensor, "points 3"] | None = None
    is_closed: bool = False


def closing_size(points: Float[Tensor, "points 3"]) -> Float32[Tensor, " points"]:
    """A radius of every point's disc that closes the surface: the distance to its sixth neighbour.

    At most twice the median, so that a stray point stays small.
    """
    num_neighbours = min(CLOSING_NEIGHBOUR + 1, len(points))
    distances, _ = nearest_neighbours(points[None], points[None], num_neighbours)
    reach = distances[0, :, -1].float()
    return reach.clamp(max=2 * float(reach.median()))


_Table = TypeVar("_Table", "_Ellipses", "_Footprints")


@torch.no_grad()
def splat(splats: Splats, camera: Pinhole, poses: Float64[Tensor, "views 4 4"]) -> Raster:
    """The visible point and its depth in every pixel of every view, in single precision.

    Depths are those of the planes of the discs. A point always covers the pixel that it falls into. Equally
    near points go by the lower row.
    """
    views = [_splat_one(splats, camera, pose) for pose in poses]
    return Raster(torch.stack([view.index for view in views]), torch.stack([view.depth for view in views]))


@dataclass(frozen=True)
class _OneView:
    """The raster of a single view."""

    index: Int64[Tensor, "height width"]
    depth: Float32[Tensor, "height width"]


@dataclass(frozen=True)
class _Ellipses:
    """Discs in camera coordinates that may be seen; `rows` are those of their points.

    `column` and `row` are real-valued; `reach` is half the width and half the height of the ellipse that a
    disc is in the picture.
    """

    rows: Int64[Tensor, " discs"]
    centres: Float32[Tensor, "3 discs"]
    normals: Float32[Tensor, "3 discs"]
    size: Float32[Tensor, " discs"]
    column: Float32[Tensor, " discs"]
    row: Float32[Tensor, " discs"]
    reach: Float32[Tensor, "2 discs"]


@dataclass(frozen=True)
class _Footprints:
    """Pairs of a disc and a pixel that it covers, at which depth, and how far from the disc's centre."""

    disc: Int64[Tensor, " pairs"]
    pixel: Int64[Tensor, " pairs"]
    depth: Float32[Tensor, " pairs"]
    distance: Float32[Tensor, " pairs"]

    def take(self, is_taken: Bool[Tensor, " pairs"]) -> "_Footprints":
        return _chosen(self, is_taken.nonzero().squeeze(1))


def _splat_one(splats: Splats, camera: Pinhole, pose: Float64[Tensor, "4 4"]) -> _OneView:
    """A raster of one view."""
    discs = _seen(_ellipses(splats, camera, pose), camera, splats.is_closed)
    pairs = _footprints(discs, camera)
    num_pixels = camera.width * camera.height
    nearest = torch.full((num_pixels,), torch.inf, device=splats.points.device)
    nearest = nearest.scatter_reduce(0, pairs.pixel, pairs.depth, "amin")
    # discs in the surface agree on its depth, discs that face the camera differ by the slant
    tolerance = (1.0 if splats.normals is None else 0.1) * discs.size
    limit = nearest.index_select(0, pairs.pixel) + tolerance.index_select(0, pairs.disc)
    pairs = pairs.take(pairs.depth <= limit)
    # the bits of floats that are not negative are ordered as the floats are
    keys = (pairs.distance.view(torch.int32).long() << 32) | pairs.disc
    first = torch.full((num_pixels,), torch.iinfo(torch.int64).max, device=splats.points.device)
    first = first.scatter_reduce(0, pairs.pixel, keys, "amin")
    chosen = pairs.take(keys == first.index_select(0, pairs.pixel))
    index = torch.full((num_pixels,), -1, device=splats.points.device)
    index[chosen.pixel] = discs.rows[chosen.disc]
    depth = torch.zeros(num_pixels, device=splats.points.device)
    depth[chosen.pixel] = chosen.depth
    return _OneView(index.view(camera.height, -1), depth.view(camera.height, -1))


def _ellipses(splats: Splats, camera: Pinhole, pose: Float64[Tensor, "4 4"]) -> _Ellipses:
    """All discs as the camera has them before it."""
    scale = float(torch.linalg.det(pose[:3, :3]).abs() ** (1 / 3))
    centres = transform(splats.points.float(), pose.float()).T.contiguous()
    if splats.normals is None:
        turned = torch.zeros_like(centres)
        turned[2] = 1.0
    else:
        rotation = torch.eye(4, device=pose.device)
        rotation[:3, :3] = pose[:3, :3] / scale
        turned = transform(splats.normals.float(), rotation).T.contiguous()
    size = scale * splats.size
    depth = centres[2].clamp(min=torch.finfo(torch.float32).tiny)
    right, down = centres[:2] / depth
    # how far x / z and y / z get by a step of length 1 in the plane of the disc
    across = (1 + right**2 - (turned[0] - turned[2] * right) ** 2).clamp(min=0).sqrt()
    along = (1 + down**2 - (turned[1] - turned[2] * down) ** 2).clamp(min=0).sqrt()
    reach = torch.stack([camera.fx * across, camera.fy * along]) * (size / depth)
    widest = _WIDEST * max(camera.width, camera.height)
    column, row = camera.fx * right + camera.cx, camera.fy * down + camera.cy
    rows = torch.arange(len(splats.points), device=splats.points.device)
    return _Ellipses(rows, centres, turned, size, column, row, reach.clamp(max=widest))


def _seen(discs: _Ellipses, camera: Pinhole, is_closed: bool) -> _Ellipses:
    """Those before the camera that reach into the picture and, if surfaces are closed, face the camera."""
    is_seen = discs.centres[2] > _NEAR * discs.size
    for place, reach, end in zip(
        (discs.column, discs.row), discs.reach, (camera.width, camera.height), strict=True
    ):
        is_seen &= (place + reach.clamp(min=0.5) > -0.5) & (place - reach.clamp(min=0.5) < end - 0.5)
    if is_closed:
        is_seen &= (discs.centres * discs.normals).sum(0) < 0
    rows = is_seen.nonzero().squeeze(1)
    return _chosen(discs, rows)


def _footprints(discs: _Ellipses, camera: Pinhole) -> _Footprints:
    """Every pixel that each disc covers, disc by disc."""
    disc, column, row = _windows(discs, camera)
    rays = (column - camera.cx) / camera.fx, (row - camera.cy) / camera.fy
    offset = (discs.centres * discs.normals).sum(0).index_select(0, disc)
    of_pair = _chosen(discs, disc)
    centre, normal = of_pair.centres, of_pair.normals
    # where the ray of the pixel meets the plane of the disc
    depth = offset / (normal[0] * rays[0] + normal[1] * rays[1] + normal[2])
    squared = (rays[0] * depth - centre[0]) ** 2 + (rays[1] * depth - centre[1]) ** 2
    is_met = squared + (depth - centre[2]) ** 2 <= of_pair.size**2
    off = column - of_pair.column, row - of_pair.row
    is_home = (off[0].abs() <= 0.5) & (off[1].abs() <= 0.5)
    # a disc on edge or between two pixels is met by no ray
    depth = torch.where(is_met, depth, centre[2])
    pairs = _Footprints(disc, row.long() * camera.width + column.long(), depth, off[0] ** 2 + off[1] ** 2)
    return pairs.take(is_met | is_home)


def _windows(
    discs: _Ellipses, camera: Pinhole
) -> tuple[Int64[Tensor, " pairs"], Float32[Tensor, " pairs"], Float32[Tensor, " pairs"]]:
    """Disc, column and row of all pixels in the bounding box of each disc, and of the one it falls into."""
    ranges = []
    for place, reach, end in zip(
        (discs.column, discs.row), discs.reach, (camera.width, camera.height), strict=True
    ):
        first = torch.minimum((place - reach).ceil(), place.round()).clamp(min=0)
        last = torch.maximum((place + reach).floor(), place.round()).clamp(max=end - 1)
        ranges.append((first, (last - first + 1).clamp(min=0).long()))
    (left, width), (top, height) = ranges
    counts = width * height
    disc = torch.repeat_interleave(counts)
    of_pair = [each.index_select(0, disc) for each in (counts.cumsum(0) - counts, width, left, top)]
    first, width, left, top = of_pair
    within = torch.arange(len(disc), device=disc.device) - first
    down = torch.div(within, width, rounding_mode="floor")
    return disc, left + (within - down * width), top + down


def _chosen(table: _Table, rows: Int64[Tensor, " rows"]) -> _Table:
    """These rows, in this order, each perhaps several times; indexing would take five times as long."""
    columns = (getattr(table, field.name) for field in fields(table))
    return type(table)(*(column.index_select(-1, rows) for column in columns))
