"""The inside of a room: a box with doors and windows, met by rays in closed form."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64, Int64

from pointlab.data.builtin.objects.variety import between, pick, whole
from pointlab.data.builtin.primitives import Points

WALL, FLOOR, CEILING = 0, 1, 2
NUM_FACES = 6
FACE_SKINS = np.array([WALL, WALL, FLOOR, CEILING, WALL, WALL])
"""Skin of the faces at -x, +x, -y, +y, -z and +z."""
FACE_NAMES = ("wall", "wall", "floor", "ceiling", "wall", "wall")
WALLS = (0, 1, 4, 5)
FRAME_WIDTH = 0.06
"""Metres of frame around a door or a window."""


@dataclass(frozen=True)
class Opening:
    """A door or a window: a rectangle of the wall `face`, in metres along it (x or z) and above the floor."""

    name: str
    face: int
    low: tuple[float, float]
    high: tuple[float, float]


@dataclass(frozen=True)
class Hits:
    """Where rays meet the shell: distance in lengths of the ray, surface, skin and inward normal.

    Surfaces are the six faces, then the openings; each opening has two skins after the three of the faces,
    its panel and its frame.
    """

    distance: Float64[np.ndarray, " rays"]
    surfaces: Int64[np.ndarray, " rays"]
    skins: Int64[np.ndarray, " rays"]
    normals: Points


@dataclass(frozen=True)
class Shell:
    """A room of `size` (width along x, height, depth along z) about the middle of its floor, the origin."""

    size: tuple[float, float, float]
    openings: tuple[Opening, ...]
    wall_material: str
    floor_material: str

    @property
    def surface_names(self) -> tuple[str, ...]:
        """What each surface is."""
        return (*FACE_NAMES, *(opening.name for opening in self.openings))

    @property
    def materials(self) -> tuple[str, ...]:
        """Material of each skin: wall, floor, ceiling, then panel and frame of every opening."""
        panels = {"door": ("wood", "paint"), "window": ("sky", "paint")}
        return (
            self.wall_material,
            self.floor_material,
            "paint",
            *(material for opening in self.openings for material in panels[opening.name]),
        )

    def trace(self, origin: Float64[np.ndarray, "3"], rays: Points) -> Hits:
        """Where each ray from `origin`, which lies inside, leaves the box."""
        half = np.array(self.size) / 2
        centre = np.array([0.0, half[1], 0.0])
        rays = np.where(rays == 0, np.finfo(float).tiny, rays)
        distances = (centre + np.sign(rays) * half - origin) / rays
        axis = distances.argmin(1)
        rows = np.arange(len(rays))
        distance = distances[rows, axis]
        is_positive = rays[rows, axis] > 0
        surfaces = 2 * axis + is_positive
        normals = np.zeros_like(rays)
        normals[rows, axis] = np.where(is_positive, -1.0, 1.0)
        skins = FACE_SKINS[surfaces]
        self._open(surfaces, skins, origin + distance[:, None] * rays)
        return Hits(distance, surfaces, skins, normals)

    def _open(
        self, surfaces: Int64[np.ndarray, " rays"], skins: Int64[np.ndarray, " rays"], points: Points
    ) -> None:
        """Put openings in the place of the walls that they are in."""
        for number, opening in enumerate(self.openings):
            places = points[:, [2 if opening.face < 2 else 0, 1]]
            # how far inside the rectangle, negative outside
            inside = np.minimum(places - opening.low, opening.high - places).min(1)
            is_met = (surfaces == opening.face) & (inside > 0)
            bar = np.abs(places[:, 0] - (opening.low[0] + opening.high[0]) / 2)
            is_frame = (inside < FRAME_WIDTH) | ((opening.name == "window") & (bar < FRAME_WIDTH / 2))
            skins[is_met] = 3 + 2 * number + is_frame[is_met]
            surfaces[is_met] = NUM_FACES + number


def make_shell(generator: np.random.Generator) -> Shell:
    """A room of usual size with a door, and up to two windows in other walls."""
    size = (between(generator, 3.2, 5.5), between(generator, 2.4, 2.9), between(generator, 3.2, 5.5))
    walls = [int(face) for face in generator.permutation(WALLS)]
    door, *others = walls
    openings = [_opening("door", door, size, generator)]
    openings += [_opening("window", face, size, generator) for face in others[: whole(generator, 0, 2)]]
    wall, floor = pick(generator, ("paint", "wallpaper")), pick(generator, ("wood", "tiles", "carpet"))
    return Shell(size, tuple(openings), wall, floor)


def _opening(
    name: str, face: int, size: tuple[float, float, float], generator: np.random.Generator
) -> Opening:
    length = size[2] if face < 2 else size[0]
    if name == "door":
        width, bottom, top = between(generator, 0.8, 1.0), 0.0, between(generator, 1.95, 2.1)
    else:
        width, bottom = between(generator, 0.8, 1.8), between(generator, 0.8, 1.0)
        top = bottom + between(generator, 0.9, 1.3)
    reach = (length - width) / 2 - 0.2
    middle = between(generator, -reach, reach)
    return Opening(name, face, (middle - width / 2, bottom), (middle + width / 2, top))
