"""Shaded pictures of clouds: what `splatting` found in each pixel, lit from the camera or coloured by depth.

A picture has channels last, red green blue, from 0 to 1.
"""

import torch
from jaxtyping import Float, Float32, Float64
from torch import Tensor

from pointlab.geometry.cameras import Pinhole
from pointlab.geometry.splatting import Raster, Splats, splat

AMBIENT = 0.3
"""Light that reaches every surface: those on edge stay visible."""
FARTHEST = 0.2
"""Brightness of the farthest depth, so that it differs from a black background."""


def render(
    splats: Splats,
    camera: Pinhole,
    poses: Float64[Tensor, "views 4 4"],
    colours: Float[Tensor, "points 3"] | None = None,
    *,
    background: float = 1.0,
    supersampling: int = 1,
) -> Float32[Tensor, "views height width 3"]:
    """Pictures of the cloud: its colours (white without) lit by its normals, or by depth where it has none.

    With `supersampling` each pixel is the mean of that many by that many, which smooths outlines.
    """
    fine = camera.resized(supersampling * camera.width, supersampling * camera.height)
    raster = splat(splats, fine, poses)
    light = shade_depth(raster) if splats.normals is None else shade_normals(raster, splats, poses)
    colours = torch.ones_like(splats.points) if colours is None else colours
    pictures = light[..., None] * paint(raster, colours.float())
    pictures = torch.where(raster.is_hit[..., None], pictures, background)
    shape = (len(poses), camera.height, supersampling, camera.width, supersampling, 3)
    return pictures.view(shape).mean((2, 4))


def paint(
    raster: Raster, colours: Float32[Tensor, "points 3"], background: float = 1.0
) -> Float32[Tensor, "views height width 3"]:
    """The colour of the visible point in each pixel, `background` where there is none."""
    return torch.where(raster.is_hit[..., None], colours[raster.index.clamp(min=0)], background)


def shade_normals(
    raster: Raster, splats: Splats, poses: Float64[Tensor, "views 4 4"], ambient: float = AMBIENT
) -> Float32[Tensor, "views height width"]:
    """Brightness by Lambert's law with a lamp at the camera: 1 where a surface faces it; 1 for nothing.

    Both sides of a surface are lit alike, since estimated normals do not tell them apart.
    """
    assert splats.normals is not None
    eyes = torch.linalg.inv(poses)[:, None, :3, 3]
    rays = torch.nn.functional.normalize(eyes - splats.points, dim=2)
    brightness = ambient + (1 - ambient) * (rays * splats.normals).sum(2).abs()
    seen = brightness.float().gather(1, raster.index.clamp(min=0).flatten(1)).view_as(raster.depth)
    return torch.where(raster.is_hit, seen, 1.0)


def shade_depth(raster: Raster) -> Float32[Tensor, "views height width"]:
    """Brightness by depth: 1 for the nearest of a view, `FARTHEST` for the farthest; 1 for nothing."""
    depth = raster.depth.flatten(1)
    nearest = torch.where(depth > 0, depth, torch.inf).amin(1)
    span = (depth.amax(1) - nearest).clamp(min=torch.finfo(depth.dtype).tiny)
    share = (raster.depth - nearest[:, None, None]) / span[:, None, None]
    return torch.where(raster.is_hit, 1 - (1 - FARTHEST) * share, 1.0)
