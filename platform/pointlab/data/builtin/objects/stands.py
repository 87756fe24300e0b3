"""What seats and tops stand on: legs, pedestals, panels and runners, each with the words for a caption.

The styles are shared by classes that are easily confused (a stool, a chair, a table), so that no class
is told from its legs alone. Parts are named "leg" (what carries) and "base" (what lies on the floor).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from pointlab.data.builtin.assembly import Part, Vector, beam, block, rod, turned
from pointlab.data.builtin.objects.variety import between, chance, counted, pick, whole


@dataclass(frozen=True)
class Frame:
    """The room below a top: width (x), depth (z) and height (y) in metres, and the timber's thickness."""

    width: float
    depth: float
    height: float
    thickness: float


Stand = tuple[list[Part], str]
Style = Callable[[np.random.Generator, Frame], Stand]


def corner_legs(generator: np.random.Generator, frame: Frame) -> Stand:
    """Four legs under the corners, upright or splayed, round or square, sometimes tapering."""
    splay = frame.height * between(generator, 0.08, 0.2) if chance(generator, 0.5) else 0.0
    x, z = frame.width / 2 - frame.thickness, frame.depth / 2 - frame.thickness
    tops = [(side * x, frame.height, end * z) for side in (-1, 1) for end in (-1, 1)]
    feet = [(side * (x + splay), 0.0, end * (z + splay)) for side in (-1, 1) for end in (-1, 1)]
    return _legs(generator, tops, feet, frame.thickness), f"four {'splayed' if splay else 'straight'} legs"


def ring_legs(generator: np.random.Generator, frame: Frame) -> Stand:
    """Three to five legs on a circle, upright or splayed."""
    number = whole(generator, 3, 5)
    is_splayed = chance(generator, 0.6)
    radius = min(frame.width, frame.depth) * (0.25 if is_splayed else 0.38)
    reach = radius + (frame.height * between(generator, 0.12, 0.3) if is_splayed else 0.0)
    angles = 2 * np.pi * (np.arange(number) + 0.5) / number
    tops = [(radius * np.sin(a), frame.height, radius * np.cos(a)) for a in angles]
    feet = [(reach * np.sin(a), 0.0, reach * np.cos(a)) for a in angles]
    kind = "splayed" if is_splayed else "straight"
    return _legs(generator, tops, feet, frame.thickness), counted(number, f"{kind} leg")


def _legs(
    generator: np.random.Generator, tops: Sequence[Vector], feet: Sequence[Vector], thickness: float
) -> list[Part]:
    if chance(generator, 0.4):
        return [beam("leg", foot, top, thickness, thickness) for foot, top in zip(feet, tops, strict=True)]
    foot_radius = thickness / 2 * between(generator, 0.5, 1.0)
    return [rod("leg", foot, top, foot_radius, thickness / 2) for foot, top in zip(feet, tops, strict=True)]


def pedestal(generator: np.random.Generator, frame: Frame) -> Stand:
    """One column on a disc or a cone."""
    spread = min(frame.width, frame.depth) * between(generator, 0.3, 0.48)
    rise = frame.height * between(generator, 0.03, 0.15)
    radius = frame.thickness * between(generator, 0.5, 1.1)
    column = rod("leg", (0, rise, 0), (0, frame.height, 0), radius)
    top = radius if chance(generator, 0.5) else 0.9 * spread
    base = turned("base", [(0, 0), (spread, 0), (top, rise), (0, rise)])
    return [column, base], f"a pedestal on a {'conical' if top == radius else 'round'} base"


def star(generator: np.random.Generator, frame: Frame) -> Stand:
    """One column on a star of three to five feet, as of an office chair."""
    number = whole(generator, 3, 5)
    reach = min(frame.width, frame.depth) * between(generator, 0.4, 0.6)
    hub, radius = frame.height * between(generator, 0.12, 0.25), frame.thickness / 2
    angles = 2 * np.pi * np.arange(number) / number + between(generator, 0, np.pi)
    tips = [(reach * np.sin(a), radius, reach * np.cos(a)) for a in angles]
    feet = [rod("base", (0, hub, 0), tip, 0.8 * radius) for tip in tips]
    column = rod("leg", (0, hub, 0), (0, frame.height, 0), radius)
    return [column, *feet], f"a central column on {counted(number, 'spread foot')}"


def panels(generator: np.random.Generator, frame: Frame) -> Stand:
    """Two upright boards at the ends."""
    depth, x = frame.depth * between(generator, 0.6, 1.0), frame.width / 2 * between(generator, 0.7, 0.96)
    size = (0.6 * frame.thickness, frame.height, depth)
    return [block("leg", size, (side * x, frame.height / 2, 0)) for side in (-1, 1)], "two side panels"


def trestle(generator: np.random.Generator, frame: Frame) -> Stand:
    """Two columns on crosswise feet, joined by a rail."""
    x, z = frame.width * between(generator, 0.28, 0.4), 0.42 * frame.depth
    size = frame.thickness
    rail = frame.height * between(generator, 0.2, 0.5)
    parts = [beam("leg", (-x, rail, 0), (x, rail, 0), size, 0.5 * size)]
    for side in (-x, x):
        parts.append(beam("leg", (side, 0, 0), (side, frame.height, 0), size, 1.5 * size))
        parts.append(block("base", (size, size, 2 * z), (side, size / 2, 0)))
    return parts, "a trestle"


def runners(generator: np.random.Generator, frame: Frame) -> Stand:
    """Two bent frames that lie on the floor, as of a cantilever chair (two uprights) or a sled (four)."""
    is_sled = chance(generator, 0.5)
    x, z, radius = frame.width / 2 - frame.thickness, 0.45 * frame.depth, 0.35 * frame.thickness
    parts = []
    for side in (-x, x):
        parts.append(rod("base", (side, radius, -z), (side, radius, z), radius))
        parts += [
            rod("leg", (side, 0, end), (side, frame.height, end), radius) for end in (z, -z)[: 1 + is_sled]
        ]
    parts.append(rod("base", (-x, radius, -z), (x, radius, -z), radius))
    return parts, "a sled base" if is_sled else "a cantilever base"


def stand(generator: np.random.Generator, frame: Frame, styles: Sequence[Style]) -> Stand:
    """A stand of one of these styles, with its description."""
    return pick(generator, styles)(generator, frame)
