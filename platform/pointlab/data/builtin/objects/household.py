"""Things that stand on furniture or beside it: lamps, monitors and laptops."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from pointlab.data.builtin.assembly import (
    Assembly,
    Part,
    Pose,
    block,
    moved,
    pipe,
    plate,
    rod,
    shift,
    turn,
    turned,
)
from pointlab.data.builtin.objects import stands
from pointlab.data.builtin.objects.outlines import rounded
from pointlab.data.builtin.objects.variety import between, chance, describe, pick
from pointlab.data.builtin.objects.vessels import smooth
from pointlab.data.builtin.primitives import spheroid


def lamp(generator: np.random.Generator) -> Assembly:
    """A shade on a pole: floor lamps, table lamps, and desk lamps whose arm reaches forward."""
    word = pick(generator, ("floor", "table", "desk"))
    height = between(generator, 1.2, 1.8) if word == "floor" else between(generator, 0.3, 0.6)
    spread = height * (0.35 if word == "floor" else 0.6)
    shade, shape = _shade(generator, spread * between(generator, 0.2, 0.45))
    if word == "desk":
        return _desk_lamp(generator, stands.Frame(spread, spread, height, 0.06 * spread), shade, shape)
    frame = stands.Frame(spread, spread, height, 0.05 * spread)
    support, stand = stands.stand(generator, frame, (stands.pedestal, stands.pedestal, stands.ring_legs))
    parts = (*support, *moved(shade, shift(0, height, 0)))
    return Assembly(parts, describe(f"{word} lamp", [shape, stand]))


def _desk_lamp(generator: np.random.Generator, room: stands.Frame, shade: list[Part], shape: str) -> Assembly:
    """A lamp as high as `room`, with a short column and an arm that holds out this shade."""
    column = replace(room, height=0.3 * room.height)
    support, stand = stands.stand(generator, column, (stands.pedestal, stands.star))
    arm, tip = _arm(generator, column.height, room.height, room.thickness / 3)
    shade = moved(shade, tip @ turn("x", -between(generator, 0.0, 0.7)))
    return Assembly((*support, *arm, *shade), describe("desk lamp", [shape, "a bent arm", stand]))


def _shade(generator: np.random.Generator, radius: float) -> tuple[list[Part], str]:
    """An open or closed shade that hangs about the origin, and its description."""
    rise, wall = radius * between(generator, 0.7, 1.6), 0.04 * radius
    word = pick(generator, ("conical", "cylindrical", "domed", "spherical"))
    if word == "spherical":
        globe = spheroid(radius, between(generator, 0.8, 1.2) * radius)
        return [Part("shade", globe, shift(0, 0, 0))], "a globe"
    top = radius * {"conical": between(generator, 0.25, 0.7), "domed": 0.1}.get(word, 1.0)
    bulge = [(radius, 0.3 * rise)] if word == "domed" else []
    outside = smooth([(radius, -0.5 * rise), *bulge, (top, 0.5 * rise)])
    profile = np.concatenate([outside, outside[::-1] - (wall, 0)])
    bulb = Part("bulb", spheroid(0.25 * radius, 0.35 * radius, 8), shift(0, 0, 0))
    return [turned("shade", profile), bulb], f"a {word} shade"


def _arm(
    generator: np.random.Generator, bottom: float, height: float, radius: float
) -> tuple[list[Part], Pose]:
    """A pole from the axis at `bottom` that rises to `height` and reaches towards +z, and its tip."""
    reach, elbow = height * between(generator, 0.3, 0.7), between(generator, -0.5, 0.1)
    corners = [(0, bottom), (elbow * reach, 0.7 * height), (0.3 * reach, height), (reach, height)]
    path = smooth(corners, 12) if chance(generator, 0.5) else np.array(corners)
    # drawn in the plane of z and y
    bent = np.insert(path[:, ::-1], 0, 0.0, axis=1)
    return [pipe("arm", bent, radius)], shift(*bent[-1])


def monitor(generator: np.random.Generator) -> Assembly:
    """A flat or deep screen on a neck, with a plate, a disc or two feet."""
    width = between(generator, 0.4, 0.9)
    height = width / between(generator, 1.2, 2.2)
    depth = 0.6 * height if chance(generator, 0.12) else between(generator, 0.02, 0.06)
    lift = between(generator, 0.06, 0.2)
    tilt = turn("x", -between(generator, -0.05, 0.3))
    screen = [
        block("casing", (width, height, depth), (0, height / 2, -depth / 2)),
        block("screen", (0.94 * width, 0.9 * height, 0.006), (0, 0.51 * height, 0.003)),
    ]
    neck = rod(
        "neck",
        (0, 0, -depth / 2),
        (0, lift + 0.3 * height, -depth / 2 - 0.02),
        between(generator, 0.012, 0.035),
    )
    style = pick(generator, tuple(MONITOR_BASES))
    base = moved(MONITOR_BASES[style](width * between(generator, 0.3, 0.6)), shift(0, 0, -depth / 2))
    parts = (*moved(screen, shift(0, lift, 0) @ tilt), *([] if style == "two feet" else [neck]), *base)
    aspect = "wide" if width > 1.7 * height else "square"
    return Assembly(parts, describe(f"{aspect} monitor", ["a deep case" if depth > 0.1 else "", style]))


def _two_feet(size: float) -> list[Part]:
    return [
        rod("base", (side * size, 0.21, 0), (side * size, 0.01, forth * 0.5 * size), 0.012)
        for side in (-0.7, 0.7)
        for forth in (-1, 1)
    ]


MONITOR_BASES: dict[str, Callable[[float], list[Part]]] = {
    "a round base": lambda size: [plate("base", rounded(size, size, 2.0), 0.015, 0)],
    "a square base": lambda size: [plate("base", rounded(size, 0.7 * size, 12.0), 0.015, 0)],
    "two feet": _two_feet,
}


def laptop(generator: np.random.Generator) -> Assembly:
    """Two leaves at a hinge, half open to flat; the lower carries keys and a touch pad, some a riser."""
    width = between(generator, 0.26, 0.4)
    depth, base = width * between(generator, 0.62, 0.78), between(generator, 0.012, 0.035)
    opening = between(generator, 70, 150)
    lower = [
        block("base", (width, base, depth), (0, base / 2, 0)),
        block("keyboard", (0.86 * width, 0.004, 0.42 * depth), (0, base + 0.002, -0.15 * depth)),
        block("touchpad", (0.3 * width, 0.002, 0.25 * depth), (0, base + 0.001, 0.28 * depth)),
    ]
    lid = [
        block("lid", (width, depth, 0.008), (0, depth / 2, -0.004)),
        block("screen", (0.92 * width, 0.86 * depth, 0.003), (0, 0.52 * depth, 0.0015)),
    ]
    hinge = shift(0, base, -depth / 2) @ turn("x", np.radians(90 - opening))
    words = ["a lid opened " + ("wide" if opening > 120 else "upright" if opening > 85 else "half")]
    parts = [*lower, *moved(lid, hinge)]
    if chance(generator, 0.3):
        pitch, rise = between(generator, 0.15, 0.4), between(generator, 0.03, 0.1)
        back = rise + depth * np.sin(pitch)
        parts = moved(parts, shift(0, (rise + back) / 2, 0) @ turn("x", pitch))
        z = 0.45 * depth * np.cos(pitch)
        legs = [rod("riser", (x, 0, -z), (x, back, -z), 0.006) for x in (-0.35 * width, 0.35 * width)]
        parts += legs + [rod("riser", (x, 0, z), (x, rise, z), 0.006) for x in (-0.35 * width, 0.35 * width)]
        words.append("a riser")
    return Assembly(tuple(parts), describe("laptop", words))
