"""Backrests: panels, slats, ladders, ovals and curved shells, shared by chairs, stools and benches.

Every style fills a frame that stands on y = 0 in the plane z = 0, faces +z, and is then tilted and moved
to the rear edge of a seat. Parts are named "back".
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from pointlab.data.builtin.assembly import Part, Pose, beam, block, moved, rod, shift, turn
from pointlab.data.builtin.objects.outlines import rounded
from pointlab.data.builtin.objects.variety import between, chance, counted, pick, whole
from pointlab.data.builtin.primitives import Lathe, prism


@dataclass(frozen=True)
class Panel:
    """Width (x), height (y) and thickness (z) of a backrest, in metres."""

    width: float
    height: float
    thickness: float


Back = tuple[list[Part], str]
Style = Callable[[np.random.Generator, Panel], Back]


def _posts(panel: Panel) -> list[Part]:
    x = (panel.width - panel.thickness) / 2
    size = (panel.thickness, panel.height, panel.thickness)
    return [block("back", size, (side * x, panel.height / 2, 0)) for side in (-1, 1)]


def solid(generator: np.random.Generator, panel: Panel) -> Back:
    """One board, sometimes held above the seat by two posts."""
    is_raised = chance(generator, 0.4)
    bottom = panel.height * between(generator, 0.3, 0.6) if is_raised else 0.0
    size = (panel.width, panel.height - bottom, panel.thickness)
    board = block("back", size, (0, (panel.height + bottom) / 2, 0))
    return [board, *(_posts(panel) if is_raised else [])], "a raised back" if is_raised else "a solid back"


def slatted(generator: np.random.Generator, panel: Panel) -> Back:
    """Upright slats or round spindles between two posts, under a top rail."""
    number = whole(generator, 3, 6)
    places = np.linspace(-0.5, 0.5, number + 2)[1:-1] * panel.width
    is_round, size = chance(generator, 0.5), 0.6 * panel.thickness
    tops = [((x, 0.0, 0.0), (x, panel.height, 0.0)) for x in places]
    bars = [
        rod("back", foot, top, size / 2) if is_round else beam("back", foot, top, 1.6 * size, 0.6 * size)
        for foot, top in tops
    ]
    rail = block("back", (panel.width, 2 * panel.thickness, panel.thickness), (0, panel.height, 0))
    return [*_posts(panel), *bars, rail], f"a back of {counted(number, 'spindle' if is_round else 'slat')}"


def ladder(generator: np.random.Generator, panel: Panel) -> Back:
    """Level rails between two posts."""
    number = whole(generator, 2, 4)
    heights = panel.height * np.linspace(1 / number, 1, number)
    size = (panel.width, panel.height * between(generator, 0.3, 0.6) / number, 0.6 * panel.thickness)
    rails = [block("back", size, (0, height - size[1] / 2, 0)) for height in heights]
    return [*_posts(panel), *rails], f"a ladder back of {counted(number, 'rail')}"


def oval(generator: np.random.Generator, panel: Panel) -> Back:
    """An oval board on two short posts."""
    rise = panel.height * between(generator, 0.55, 0.75)
    board = prism(rounded(panel.width, rise, between(generator, 2.0, 4.0)), panel.thickness)
    centre = shift(0, panel.height - rise / 2, -panel.thickness / 2) @ turn("x", np.pi / 2)
    posts = _posts(Panel(0.5 * panel.width, panel.height - 0.8 * rise, 0.6 * panel.thickness))
    return [Part("back", board, centre), *posts], "an oval back"


def curved(generator: np.random.Generator, panel: Panel) -> Back:
    """A shell that bends around the sitter."""
    sweep = between(generator, 1.2, 2.6)
    radius = panel.width / 2 / np.sin(min(sweep, np.pi) / 2)
    outer, inner = radius, radius - panel.thickness
    profile = [(outer, 0), (outer, panel.height), (inner, panel.height), (inner, 0)]
    shell = Lathe(np.array(profile, dtype=float), sweep)
    return [Part("back", shell, shift(0, 0, radius) @ turn("y", np.pi))], "a curved back"


STYLES: tuple[Style, ...] = (solid, slatted, ladder, oval, curved)


def backrest(generator: np.random.Generator, panel: Panel, foot: Pose) -> Back:
    """A backrest of any style, tilted backwards by up to 15 degrees about its lower edge at `foot`."""
    parts, words = pick(generator, STYLES)(generator, panel)
    tilt = turn("x", -np.radians(between(generator, 0, 15)))
    return moved(parts, foot @ tilt), words
