"""What surfaces are made of: colours and solid textures, functions of the place in space alone.

A texture mixes two colours by a wave through space, bent by a second wave for grain and crossed with a third
for checks; one formula makes wood, cloth, tiles and sky. The same materials serve every class: many things
are of wood, and a lamp may be of metal or of cloth, so colour tells of parts and instances, but rarely of
the class.
"""

import colorsys
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64, Int64

from pointlab.data.builtin.assembly import Assembly
from pointlab.data.builtin.objects.variety import between, chance, pick
from pointlab.data.builtin.primitives import FULL_TURN, Points

Span = tuple[float, float]


@dataclass(frozen=True)
class Material:
    """A family of textures: ranges of hue, saturation and value, and how the second colour differs.

    `wavelength` is in metres, `warp` in radians; `contrast` scales the value of the second colour, and with
    `is_motley` it has a hue of its own. `checks` is the chance of a crossed wave.
    """

    hue: Span
    saturation: Span
    value: Span
    wavelength: Span
    warp: float = 0.0
    sharpness: float = 1.0
    contrast: Span = (0.8, 0.95)
    checks: float = 0.0
    is_motley: bool = False


ANY: Span = (0.0, 1.0)
MATERIALS: dict[str, Material] = {
    "wood": Material((0.05, 0.1), (0.3, 0.7), (0.3, 0.85), (0.03, 0.1), warp=2.0, contrast=(0.7, 0.9)),
    "fabric": Material(ANY, (0.1, 0.7), (0.3, 0.9), (0.05, 0.15), checks=0.5, contrast=(0.7, 1.2)),
    "pattern": Material(ANY, (0.2, 0.6), (0.4, 0.95), (0.08, 0.3), 0.5, 3.0, checks=0.5, is_motley=True),
    "metal": Material((0.5, 0.7), (0.0, 0.1), (0.25, 0.8), (0.2, 0.5), warp=1.0),
    "plastic": Material(ANY, (0.0, 0.8), (0.1, 0.95), (0.3, 0.8)),
    "ceramic": Material(ANY, (0.0, 0.6), (0.5, 1.0), (0.03, 0.1), sharpness=3.0, contrast=(0.75, 1.0)),
    "paint": Material(ANY, (0.0, 0.25), (0.7, 0.95), (0.5, 2.0), warp=1.0, contrast=(0.93, 0.98)),
    "wallpaper": Material(ANY, (0.05, 0.3), (0.65, 0.95), (0.15, 0.4), 0.0, 4.0, (0.85, 0.95), 0.3),
    "tiles": Material((0.02, 0.15), (0.05, 0.4), (0.4, 0.9), (0.5, 1.0), 0.0, 8.0, (0.8, 0.95), checks=1.0),
    "carpet": Material(ANY, (0.1, 0.5), (0.25, 0.7), (0.1, 0.5), warp=3.0, contrast=(0.7, 0.9)),
    "leaf": Material((0.2, 0.42), (0.4, 0.8), (0.25, 0.7), (0.04, 0.1), warp=1.0, contrast=(0.6, 0.9)),
    "soil": Material((0.04, 0.1), (0.3, 0.6), (0.15, 0.3), (0.02, 0.05), warp=3.0, contrast=(0.6, 0.9)),
    "glass": Material((0.5, 0.7), (0.1, 0.6), (0.05, 0.3), (0.2, 0.6), warp=1.0, contrast=(1.0, 2.5)),
    "sky": Material((0.52, 0.62), (0.1, 0.4), (0.85, 1.0), (0.5, 1.5), warp=2.0, contrast=(0.9, 1.0)),
    "paper": Material(ANY, (0.1, 0.8), (0.3, 0.95), (0.05, 0.3), sharpness=4.0, contrast=(0.6, 0.9)),
}
"""Name -> material; values and hues from 0 to 1."""

FURNITURE = ("wood", "wood", "plastic", "metal", "paint")
UPHOLSTERY = ("fabric", "fabric", "pattern")
PART_MATERIALS: dict[str, tuple[str, ...]] = {
    "seat": (*UPHOLSTERY, "wood", "plastic"),
    "back": (*UPHOLSTERY, "wood", "plastic"),
    "arm": (*UPHOLSTERY, "wood", "metal"),
    "mattress": UPHOLSTERY,
    "pillow": UPHOLSTERY,
    "shade": ("fabric", "paint", "metal", "plastic"),
    "bulb": ("paint",),
    "screen": ("glass",),
    "keyboard": ("plastic",),
    "book": ("paper",),
    "pot": ("ceramic", "plastic", "wood"),
    "body": ("ceramic", "wood", "paint", "plastic", "metal"),
    "leaf": ("leaf",),
    "stem": ("leaf", "wood"),
    "soil": ("soil",),
    "flower": ("pattern", "paper"),
}
"""Part -> what it may be of; all other parts are like `FURNITURE`."""


@dataclass(frozen=True)
class Skins:
    """Textures ready to be looked up, one a row: two colours, three wave vectors with phases, their form."""

    colours: Float64[np.ndarray, "skins 2 3"]
    waves: Float64[np.ndarray, "skins 3 3"]
    phases: Float64[np.ndarray, "skins 3"]
    warp: Float64[np.ndarray, " skins"]
    sharpness: Float64[np.ndarray, " skins"]

    def paint(self, skins: Int64[np.ndarray, " points"], points: Points) -> Points:
        """The colour of each point's skin at its place, red green blue in 0 to 1."""
        angles = np.einsum("nwk,nk->nw", self.waves[skins], points) + self.phases[skins]
        main, bend, cross = angles.T
        wave = np.sin(main + self.warp[skins] * np.sin(bend)) * np.sin(cross)
        sharpness = self.sharpness[skins]
        share = 0.5 + 0.5 * np.tanh(sharpness * wave) / np.tanh(sharpness)
        first, second = self.colours[skins, 0], self.colours[skins, 1]
        colours: Points = first + share[:, None] * (second - first)
        return colours


def draw_skins(materials: Sequence[str], generator: np.random.Generator) -> Skins:
    """A texture of each of these materials."""
    drawn = [_draw(MATERIALS[name], generator) for name in materials]
    return Skins(*(np.stack(column) for column in zip(*drawn, strict=True)))


def _draw(material: Material, generator: np.random.Generator) -> tuple[np.ndarray, ...]:
    hue, saturation = between(generator, *material.hue), between(generator, *material.saturation)
    value, contrast = between(generator, *material.value), between(generator, *material.contrast)
    other = between(generator, *material.hue) if material.is_motley else hue
    first = colorsys.hsv_to_rgb(hue, saturation, value)
    second = colorsys.hsv_to_rgb(other, saturation, min(1.0, value * contrast))
    number = FULL_TURN / between(generator, *material.wavelength)
    axes = np.linalg.qr(generator.standard_normal((3, 3)))[0]
    # stripes and checks follow the room's axes, grain and clouds do not
    if material.warp == 0:
        axes = np.eye(3)[generator.permutation(3)]
    is_crossed = chance(generator, material.checks)
    waves = number * axes * np.array([[1.0], [0.3], [1.0 if is_crossed else 0.0]])
    phases = FULL_TURN * generator.random(3)
    if not is_crossed:
        phases[2] = np.pi / 2
    return np.array([first, second]), waves, phases, np.array(material.warp), np.array(material.sharpness)


def dress(
    assembly: Assembly, generator: np.random.Generator
) -> tuple[list[str], Int64[np.ndarray, " parts"]]:
    """Materials of an object, and which of them each part has: parts of one name are alike, but for books."""
    materials: list[str] = []
    known: dict[str, int] = {}
    rows = []
    for part in assembly.parts:
        if part.name == "book" or part.name not in known:
            known[part.name] = len(materials)
            materials.append(pick(generator, PART_MATERIALS.get(part.name, FURNITURE)))
        rows.append(known[part.name])
    return materials, np.array(rows)
