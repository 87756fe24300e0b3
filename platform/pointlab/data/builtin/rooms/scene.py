"""A furnished room as a camera sees it: depth, surface normal, instance and colour of every pixel.

The shell is traced in closed form, furniture is splatted, and the nearer of the two is seen. Colours are
looked up where a pixel's ray meets the surface, so that textures are as sharp as the picture.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float64, Int64

from pointlab.data.builtin.materials import Skins, draw_skins
from pointlab.data.builtin.objects import CLASSES
from pointlab.data.builtin.primitives import Points
from pointlab.data.builtin.rooms.furnishing import furnish
from pointlab.data.builtin.rooms.item import Item
from pointlab.data.builtin.rooms.shell import FACE_NAMES, Shell, make_shell
from pointlab.geometry.cameras import Pinhole, back_project
from pointlab.geometry.splatting import Splats, splat

SEMANTIC_NAMES = ("floor", "wall", "ceiling", "door", "window", *CLASSES)
"""What a point can belong to."""
AMBIENT = 0.5
"""Light that reaches every surface, as light walls throw it back; the rest comes from the lamp."""
LAMP_HEIGHT = 0.75
"""Share of the room's height at which its lamp hangs, so that the ceiling is lit as well."""


@dataclass(frozen=True)
class Sight:
    """What a camera sees, pixel by pixel, row by row: depth in metres, place, normal, instance and skin."""

    depth: Float64[np.ndarray, " pixels"]
    points: Points
    normals: Points
    instances: Int64[np.ndarray, " pixels"]
    skins: Int64[np.ndarray, " pixels"]


@dataclass(frozen=True)
class Scene:
    """A room with all that is in it; instances are the surfaces of the shell, then the items.

    `semantics` is the row of each instance in `SEMANTIC_NAMES`; `rows` are those of the splats.
    """

    shell: Shell
    items: tuple[Item, ...]
    splats: Splats
    instances: Int64[np.ndarray, " rows"]
    row_skins: Int64[np.ndarray, " rows"]
    skins: Skins
    semantics: Int64[np.ndarray, " instances"]

    def look(self, camera: Pinhole, pose: Float64[np.ndarray, "4 4"]) -> Sight:
        """What is seen from `pose` (camera_from_points), which lies inside the room."""
        raster = splat(self.splats, camera, torch.from_numpy(pose)[None])
        index, depth = raster.index.flatten().numpy(), raster.depth.flatten().double().numpy()
        row, column = np.divmod(np.arange(len(depth)), camera.width)
        pixels = torch.from_numpy(np.stack([column, row], 1).astype(float))
        ahead = back_project(pixels, torch.ones(len(depth)).double(), camera, torch.from_numpy(pose)).numpy()
        eye = np.linalg.inv(pose)[:3, 3]
        hits = self.shell.trace(eye, ahead - eye)
        is_item = (index >= 0) & (depth < hits.distance)
        index = np.where(is_item, index, 0)
        depth = np.where(is_item, depth, hits.distance)
        assert self.splats.normals is not None
        normals = np.where(is_item[:, None], self.splats.normals.numpy()[index], hits.normals)
        instances = np.where(is_item, self.instances[index], hits.surfaces)
        skins = np.where(is_item, self.row_skins[index], hits.skins)
        return Sight(depth, eye + depth[:, None] * (ahead - eye), normals, instances, skins)

    def colours(self, sight: Sight) -> Points:
        """Colour of every pixel of `sight` in the light of the room's lamp."""
        lamp = np.array([0.0, LAMP_HEIGHT * self.shell.size[1], 0.0]) - sight.points
        cosine = (lamp * sight.normals).sum(1) / np.maximum(np.linalg.norm(lamp, axis=1), 1e-9)
        light = AMBIENT + (1 - AMBIENT) * np.maximum(cosine, 0.0)
        colours: Points = light[:, None] * self.skins.paint(sight.skins, sight.points)
        return colours


def make_scene(kind: str, generator: np.random.Generator) -> Scene:
    """A room of this kind, and its furniture."""
    shell = make_shell(generator)
    items = furnish(kind, shell, generator)
    first_skins = len(shell.materials) + np.cumsum([0, *(len(item.materials) for item in items)])
    materials = [*shell.materials, *(name for item in items for name in item.materials)]
    num_surfaces = len(FACE_NAMES) + len(shell.openings)
    names = [*shell.surface_names, *(item.name for item in items)]
    return Scene(
        shell=shell,
        items=tuple(items),
        splats=_splats(items),
        instances=np.repeat(num_surfaces + np.arange(len(items)), [len(item.points) for item in items]),
        row_skins=np.concatenate(
            [item.skins + first for item, first in zip(items, first_skins, strict=False)]
        ),
        skins=draw_skins(materials, generator),
        semantics=np.array([SEMANTIC_NAMES.index(name) for name in names]),
    )


def _splats(items: Sequence[Item]) -> Splats:
    """All items as one cloud of discs; they are closed surfaces."""
    points, normals = (
        np.concatenate([getattr(item, name) for item in items]) for name in ("points", "normals")
    )
    size = np.concatenate([item.size for item in items])
    return Splats(
        torch.from_numpy(points).float(),
        torch.from_numpy(size).float(),
        torch.from_numpy(normals).float(),
        is_closed=True,
    )
