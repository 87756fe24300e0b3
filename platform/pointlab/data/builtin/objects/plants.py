"""Potted plants: what grows in the pot decides the silhouette; the pots look like bowls and vases."""

from collections.abc import Callable

import numpy as np

from pointlab.data.builtin.assembly import Assembly, Part, moved, pipe, rod, shift, turn, turned
from pointlab.data.builtin.objects.outlines import rounded
from pointlab.data.builtin.objects.variety import between, counted, describe, pick, whole
from pointlab.data.builtin.objects.vessels import hollow, smooth
from pointlab.data.builtin.primitives import prism, spheroid


def plant(generator: np.random.Generator) -> Assembly:
    """A pot, from a bowl to a vase in form, with leaves, a bush, a small tree or a cactus in it."""
    radius = between(generator, 0.06, 0.18)
    height = radius * between(generator, 0.8, 2.2)
    foot, belly = radius * between(generator, 0.5, 1.0), radius * between(generator, 0.8, 1.5)
    pot = turned(
        "pot", hollow(smooth([(foot, 0), (belly, 0.4 * height), (radius, height)], 10), 0.08 * radius)
    )
    soil = turned("soil", [(0.88 * radius, 0.85 * height), (0.0, 0.85 * height)])
    word = pick(generator, tuple(PLANTS))
    grown, words = PLANTS[word](generator, radius)
    return Assembly(
        (pot, soil, *moved(grown, shift(0, 0.85 * height, 0))), describe(f"potted {word}", [words])
    )


Growth = tuple[list[Part], str]


def _leafy(generator: np.random.Generator, size: float) -> Growth:
    number, parts = whole(generator, 5, 12), []
    for angle in 2 * np.pi * np.arange(number) / number:
        length, lean = size * between(generator, 1.5, 4.0), between(generator, 0.15, 1.1)
        blade = prism(rounded(size * between(generator, 0.3, 0.7), length, 2.0), 0.02 * size)
        upright = shift(0, length / 2, 0) @ turn("x", np.pi / 2)
        parts.append(Part("leaf", blade, turn("y", angle) @ turn("x", lean) @ upright))
    return parts, counted(number, "long leaf")


def _bush(generator: np.random.Generator, size: float) -> Growth:
    crown, rise = size * between(generator, 1.2, 2.0), size * between(generator, 0.8, 1.3)
    ball = Part(
        "leaf", spheroid(crown, crown * between(generator, 0.8, 1.3)), shift(0, crown + rise * 0.3, 0)
    )
    return [rod("stem", (0, 0, 0), (0, rise, 0), 0.12 * size), ball], "a dense crown"


def _tree(generator: np.random.Generator, size: float) -> Growth:
    number, rise = whole(generator, 2, 5), size * between(generator, 3.0, 5.0)
    parts = [rod("stem", (0, 0, 0), (0, rise, 0), 0.12 * size, 0.06 * size)]
    for index in range(number):
        angle, crown = 2 * np.pi * index / number, size * between(generator, 0.5, 1.0)
        x, y, z = 1.2 * size * np.sin(angle), rise * between(generator, 0.75, 1.1), 1.2 * size * np.cos(angle)
        parts.append(rod("stem", (0, 0.6 * rise, 0), (x, y, z), 0.05 * size))
        parts.append(Part("leaf", spheroid(crown, 0.8 * crown, 10), shift(x, y, z)))
    return parts, f"a trunk and {counted(number, 'branch')}"


def _cactus(generator: np.random.Generator, size: float) -> Growth:
    number, rise, radius = (
        whole(generator, 0, 3),
        size * between(generator, 2.0, 4.0),
        size * between(generator, 0.3, 0.5),
    )
    parts = [Part("stem", spheroid(radius, rise / 2), shift(0, rise / 2, 0))]
    for index in range(number):
        angle, level = 2 * np.pi * index / number, rise * between(generator, 0.3, 0.55)
        bend = [(0.5 * radius, level), (3 * radius, level), (2.5 * radius, level + 0.4 * rise)]
        path = [(r * np.sin(angle), y, r * np.cos(angle)) for r, y in smooth(bend, 8)]
        parts.append(pipe("stem", path, 0.35 * radius))
    return parts, counted(number, "arm")


PLANTS: dict[str, Callable[[np.random.Generator, float], Growth]] = {
    "plant": _leafy,
    "bush": _bush,
    "tree": _tree,
    "cactus": _cactus,
}
