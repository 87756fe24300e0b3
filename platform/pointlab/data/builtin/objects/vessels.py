"""Vessels: mugs, bowls, vases and bottles, all turned on a lathe, all told apart by little.

A vessel is a wall of some thickness: its profile runs up the outside and down the inside.
"""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float64

from pointlab.data.builtin.assembly import Assembly, Part, moved, pipe, plate, rod, shift, turn, turned
from pointlab.data.builtin.objects.outlines import rounded
from pointlab.data.builtin.objects.variety import (
    between,
    chance,
    counted,
    describe,
    pick,
    whole,
    with_article,
)
from pointlab.data.builtin.primitives import Number, Ring, spheroid

Profile = Float64[np.ndarray, "knots 2"]


def smooth(controls: Sequence[tuple[Number, Number]], num_knots: int = 16) -> Profile:
    """A Bézier curve through the first and last of the (radius, height) controls, by de Casteljau."""
    points = np.array(controls, dtype=float)[:, None]
    time = np.linspace(0, 1, num_knots)[:, None]
    while len(points) > 1:
        points = (1 - time) * points[:-1] + time * points[1:]
    curve: Profile = points[0]
    return curve


def hollow(outside: Float64[np.ndarray, "rim 2"], wall: float) -> Float64[np.ndarray, "2*rim+2 2"]:
    """The profile of a vessel whose `outside` runs from the foot to the rim: down again `wall` inwards."""
    inside = np.maximum(outside[::-1] - (wall, 0.0), (1e-3, wall))
    return np.concatenate([[[0.0, 0.0]], outside, inside, [[0.0, wall]]])


def mug(generator: np.random.Generator) -> Assembly:
    """A straight, tapering or bellied cup; most have a handle: round, square or ear-shaped."""
    radius, height = between(generator, 0.032, 0.05), between(generator, 0.07, 0.13)
    word = pick(generator, ("straight", "tapering", "flaring", "bellied"))
    foot = radius * {"tapering": 1.15, "flaring": 0.7}.get(word, 1.0)
    belly = radius * (between(generator, 1.3, 1.6) if word == "bellied" else (1 + foot / radius) / 2)
    outside = smooth([(foot, 0), (belly, 0.3 * height), (belly, 0.7 * height), (radius, height)])
    parts = [turned("body", hollow(outside, between(generator, 0.003, 0.006)))]
    if chance(generator, 0.12):
        return Assembly(tuple(parts), describe(f"{word} mug", ["no handle"]))
    side = float(np.interp(height / 2, outside[:, 1], outside[:, 0]))
    handle, style = _handle(generator, height * between(generator, 0.25, 0.36))
    parts += moved(handle, shift(side, height * between(generator, 0.45, 0.55), 0))
    return Assembly(tuple(parts), describe(f"{word} mug", [with_article(f"{style} handle")]))


def _handle(generator: np.random.Generator, reach: float) -> tuple[list[Part], str]:
    """A handle that leaves the plane x = 0 at heights -reach and reach, towards +x."""
    thickness = reach * between(generator, 0.14, 0.24)
    style = pick(generator, ("round", "square", "ear-shaped"))
    if style == "round":
        return [Part("handle", Ring(reach, thickness, np.pi), shift(0, 0, 0))], style
    out = reach * between(generator, 0.8, 1.1)
    path = [(0, reach, 0), (out, reach, 0), (out, -reach, 0), (0, -reach, 0)]
    if style == "ear-shaped":
        curve = smooth([(0, reach), (2.2 * out, 1.3 * reach), (out, -0.6 * reach), (0, -reach)], 10)
        return [pipe("handle", np.insert(curve, 2, 0.0, axis=1), thickness)], style
    return [pipe("handle", path, thickness)], style


def bowl(generator: np.random.Generator) -> Assembly:
    """An open, shallow to deep bowl, rounded or conical, sometimes on a foot or with two lugs."""
    radius = between(generator, 0.06, 0.15)
    height = radius * between(generator, 0.45, 1.3)
    is_conical = chance(generator, 0.3)
    foot = radius * between(generator, 0.3, 0.6)
    bulge = (0.5 * (foot + radius), 0.5 * height) if is_conical else (1.1 * radius, 0.1 * height)
    rim = (
        [(radius * 1.15, height), (radius * 1.15, height)] if chance(generator, 0.25) else [(radius, height)]
    )
    wall = hollow(smooth([(foot, 0), bulge, *rim]), 0.05 * radius)
    parts, words = [turned("body", wall)], ["an upright rim"] if len(rim) > 1 else []
    if chance(generator, 0.4):
        rise = height * between(generator, 0.08, 0.3)
        parts = [*moved(parts, shift(0, rise, 0)), turned("foot", [(0, 0), (foot, 0), (0.8 * foot, rise)])]
        words.append("a foot")
    if chance(generator, 0.2):
        lug = Part("handle", Ring(0.25 * radius, 0.05 * radius, np.pi), shift(radius, 0.8 * height, 0))
        lug = Part("handle", lug.surface, lug.pose @ turn("x", np.pi / 2))
        parts += [lug, lug.moved(turn("y", np.pi))]
        words.append("two handles")
    depth = "deep" if height > 0.85 * radius else "shallow"
    return Assembly(tuple(parts), describe(f"{depth} {'conical' if is_conical else 'rounded'} bowl", words))


def vase(generator: np.random.Generator) -> Assembly:
    """A tall vessel with a belly and a neck, or a plain flaring one; some hold flowers."""
    height, foot = between(generator, 0.15, 0.4), between(generator, 0.03, 0.06)
    word = pick(generator, ("bellied", "flaring", "straight", "slender"))
    belly, neck, rim = {
        "bellied": (between(generator, 3.0, 4.5), 0.2, between(generator, 0.7, 1.3)),
        "flaring": (0.8, 0.9, between(generator, 1.6, 2.3)),
        "straight": (1.1, 1.1, between(generator, 0.9, 1.2)),
        "slender": (between(generator, 2.0, 2.6), 0.1, between(generator, 0.5, 0.8)),
    }[word]
    controls = [(foot, 0), (belly * foot, 0.3 * height), (neck * foot, 0.75 * height), (rim * foot, height)]
    outside = smooth(controls, 20)
    parts, words = [turned("body", hollow(outside, 0.004))], []
    if chance(generator, 0.25):
        reach = 0.16 * height
        side = float(np.interp(0.68 * height, outside[:, 1], outside[:, 0]))
        ear = Part("handle", Ring(reach, 0.15 * reach, 1.1 * np.pi), shift(side, 0.68 * height, 0))
        parts += [ear, ear.moved(turn("y", np.pi))]
        words.append("two handles")
    if chance(generator, 0.35):
        number = whole(generator, 1, 5)
        parts += _flowers(generator, number, height, 0.6 * outside[-1, 0])
        words.append(counted(number, "flower"))
    return Assembly(tuple(parts), describe(f"{word} vase", words))


def _flowers(generator: np.random.Generator, number: int, height: float, opening: float) -> list[Part]:
    """Stems that rise out of an opening of this radius at this height, each with a blossom."""
    parts = []
    for angle in 2 * np.pi * np.arange(number) / number + generator.random():
        lean, rise = opening + height * between(generator, 0.05, 0.25), height * between(generator, 1.3, 1.8)
        outwards = np.array([np.sin(angle), np.cos(angle)])
        (x, z), (near_x, near_z) = lean * outwards, 0.3 * opening * outwards
        parts.append(rod("stem", (near_x, 0.4 * height, near_z), (x, rise, z), 0.003))
        size = height * between(generator, 0.05, 0.12)
        parts.append(Part("flower", spheroid(size, 0.6 * size, 8), shift(x, rise, z)))
    return parts


def bottle(generator: np.random.Generator) -> Assembly:
    """A body, round or squarish, that narrows to a neck with a cap; some are jugs with a handle."""
    radius, height = between(generator, 0.03, 0.055), between(generator, 0.18, 0.34)
    neck, shoulder = radius * between(generator, 0.25, 0.5), between(generator, 0.45, 0.7) * height
    top, slope = 0.9 * height, between(generator, 0.1, 0.5)
    curve = smooth(
        [(radius, shoulder), (radius, shoulder + slope * (top - shoulder)), (neck, shoulder), (neck, top)]
    )
    is_square = chance(generator, 0.3)
    if is_square:
        body = plate("body", rounded(2 * radius, between(generator, 1.0, 2.0) * radius, 8.0), shoulder, 0)
        narrowing = [
            (0.9 * radius, shoulder),
            (neck, shoulder + 0.3 * (top - shoulder)),
            (neck, top),
            (0, top),
        ]
        parts = [body, turned("neck", narrowing)]
    else:
        parts = [
            turned("body", [(0, 0), (radius, 0), (radius, shoulder)]),
            turned("neck", np.concatenate([curve, [[0.0, top]]])),
        ]
    words = []
    if chance(generator, 0.6):
        parts.append(
            rod("cap", (0, top - 0.04 * height, 0), (0, height, 0), neck * between(generator, 1.1, 1.5))
        )
        words.append("a cap")
    if chance(generator, 0.2):
        reach = 0.16 * height
        parts.append(
            Part("handle", Ring(reach, 0.16 * reach, 1.1 * np.pi), shift(0.7 * radius, 0.7 * height, 0))
        )
        words.append("a handle")
    noun = f"{'square' if is_square else 'round'} bottle"
    return Assembly(
        tuple(parts), describe(noun, [f"a {'long' if shoulder < 0.55 * height else 'short'} neck", *words])
    )
