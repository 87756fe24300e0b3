"""Furniture that holds things: tables, beds, shelves and cabinets."""

import numpy as np

from pointlab.data.builtin.assembly import Assembly, Part, Vector, block, plate, rod, shift
from pointlab.data.builtin.objects import stands
from pointlab.data.builtin.objects.outlines import Outline, polygon, rectangle, rounded
from pointlab.data.builtin.objects.variety import between, chance, counted, describe, pick, whole
from pointlab.data.builtin.primitives import spheroid

ROUND_STANDS = (stands.ring_legs, stands.ring_legs, stands.pedestal, stands.star)
LONG_STANDS = (stands.corner_legs, stands.corner_legs, stands.panels, stands.trestle)


def table(generator: np.random.Generator) -> Assembly:
    """A top of any outline, from a low side table to a dining table, sometimes with a lower shelf."""
    word, outline = _table_top(generator)
    width, depth = np.ptp(outline, axis=0)
    height, thickness = between(generator, 0.35, 0.8), between(generator, 0.03, 0.08)
    frame = stands.Frame(0.9 * width, 0.9 * depth, height, thickness)
    is_long = word in ("rectangular", "oval")
    legs, stand = stands.stand(generator, frame, LONG_STANDS if is_long else ROUND_STANDS)
    parts = [plate("top", outline, between(generator, 0.015, 0.06), height), *legs]
    words = [stand]
    if chance(generator, 0.25):
        parts.append(plate("shelf", 0.7 * outline, 0.02, between(generator, 0.2, 0.5) * height))
        words.append("a lower shelf")
    if is_long and chance(generator, 0.35):
        apron = (0.8 * width, between(generator, 0.06, 0.14), 0.7 * depth)
        parts.append(block("apron", apron, (0, height - apron[1] / 2, 0)))
        words.append("an apron")
    return Assembly(tuple(parts), describe(f"{'low ' if height < 0.5 else ''}{word} table", words))


def _table_top(generator: np.random.Generator) -> tuple[str, Outline]:
    word = pick(generator, ("round", "round", "square", "hexagonal", "oval", "rectangular", "rectangular"))
    size = between(generator, 0.4, 1.1)
    if word in ("oval", "rectangular"):
        width, depth = between(generator, 1.0, 1.8), between(generator, 0.5, 0.9)
        return word, rectangle(width, depth) if word == "rectangular" else rounded(width, depth, 2.0)
    return word, {"round": polygon(size, 32), "square": rectangle(size, size)}.get(word, polygon(size, 6))


def bed(generator: np.random.Generator) -> Assembly:
    """A mattress on a frame for one or two, with or without head and foot boards; some are bunks."""
    width, length = pick(generator, (0.9, 1.0, 1.4, 1.6)), between(generator, 1.9, 2.1)
    base, mattress = between(generator, 0.18, 0.4), between(generator, 0.12, 0.28)
    is_bunk = width <= 1.0 and chance(generator, 0.25)
    levels = [base, base + between(generator, 0.8, 1.0)] if is_bunk else [base]
    parts = [part for level in levels for part in _berth(generator, (width, mattress, length), level)]
    words = ["two berths" if is_bunk else counted(1 + (width > 1.2), "pillow")]
    boards = (("headboard", -1, between(generator, 0.3, 0.8), 0.8), ("footboard", 1, 0.25, 0.4))
    for name, end, rise, likelihood in boards:
        if is_bunk or chance(generator, likelihood):
            bottom, top = 0.6 * base, levels[-1] + rise
            board = (width, top - bottom, 0.05)
            parts.append(block(name, board, (0, (top + bottom) / 2, end * length / 2)))
            words.append(f"a {name}")
    high = levels[-1] if is_bunk else base - 0.1
    ends = [(side * 0.47 * width, end * 0.48 * length) for side in (-1, 1) for end in (-1, 1)]
    parts += [block("leg", (0.06, high, 0.06), (x, high / 2, z)) for x, z in ends]
    noun = "bunk bed" if is_bunk else ("double bed" if width > 1.2 else "single bed")
    return Assembly(tuple(parts), describe(noun, words))


def _berth(generator: np.random.Generator, mattress: Vector, level: float) -> list[Part]:
    """A frame whose top is at `level`, a mattress of (width, height, length) and its pillows."""
    width, height, length = mattress
    parts = [
        block("frame", (width, 0.12, length), (0, level - 0.06, 0)),
        block("mattress", (0.95 * width, height, 0.97 * length), (0, level + height / 2, 0)),
    ]
    number = 2 if width > 1.2 else 1
    thickness = between(generator, 0.08, 0.15)
    for x in width * (np.arange(number) + 0.5 - number / 2) / number:
        outline = rounded(0.8 * width / number, 0.4, 5.0)
        parts.append(
            plate("pillow", outline, thickness, level + height).moved(shift(x, 0, 0.27 - length / 2))
        )
    return parts


def shelf(generator: np.random.Generator) -> Assembly:
    """Boards between uprights, open or with a rear panel, empty or partly filled with books."""
    width, depth = between(generator, 0.5, 1.2), between(generator, 0.22, 0.4)
    height, thickness = between(generator, 0.7, 2.0), between(generator, 0.018, 0.035)
    number = whole(generator, 2, 6)
    levels = np.linspace(0.06, height - thickness / 2, number)
    parts = [block("board", (width, thickness, depth), (0, level, 0)) for level in levels]
    words = [counted(number, "board")]
    if chance(generator, 0.35):
        ends = [(side * width / 2, end * depth / 2) for side in (-1, 1) for end in (-1, 1)]
        parts += [rod("upright", (x, 0, z), (x, height, z), 0.6 * thickness) for x, z in ends]
        words.append("open sides")
    else:
        panel = (thickness, height, depth)
        parts += [block("upright", panel, (side * width / 2, height / 2, 0)) for side in (-1, 1)]
    if chance(generator, 0.5):
        parts.append(block("panel", (width, height, 0.01), (0, height / 2, -depth / 2)))
        words.append("a rear panel")
    if chance(generator, 0.6):
        gap = levels[1] - levels[0] - thickness
        for level in levels[:-1]:
            parts += _books(generator, (width, gap, depth), level + thickness / 2)
        words.append("books")
    return Assembly(tuple(parts), describe("shelf", words))


def _books(generator: np.random.Generator, room: Vector, bottom: float) -> list[Part]:
    """Up to three rows of books that stand on a board with `room` (width, height, depth) above it."""
    width, height, depth = room
    parts, left = [], -0.46 * width
    for _ in range(whole(generator, 0, 3)):
        left += width * between(generator, 0.0, 0.15)
        size = (width * between(generator, 0.08, 0.25), height * between(generator, 0.5, 0.9), 0.8 * depth)
        if left + size[0] > 0.46 * width:
            break
        parts.append(block("book", size, (left + size[0] / 2, bottom + size[1] / 2, 0)))
        left += size[0]
    return parts


def cabinet(generator: np.random.Generator) -> Assembly:
    """A closed body with a grid of doors and drawers, knobs or bars to pull, on legs or a plinth."""
    width, depth = between(generator, 0.4, 1.4), between(generator, 0.35, 0.6)
    body, rise = between(generator, 0.4, 1.7), between(generator, 0.02, 0.2)
    parts = [block("body", (width, body, depth), (0, rise + body / 2, 0))]
    ends = [(side * 0.45 * width, end * 0.42 * depth) for side in (-1, 1) for end in (-1, 1)]
    parts += [rod("leg", (x, 0, z), (x, rise, z), 0.02, 0.03) for x, z in ends]
    columns, drawers = 1 if width < 0.6 else whole(generator, 1, 3), whole(generator, 0, 4)
    rows = drawers + (1 if drawers < 3 else 0)
    shares = np.array([1.0] * drawers + [4.0] * (rows - drawers))
    tops = rise + body * (1 - np.insert(np.cumsum(shares), 0, 0.0) / shares.sum())
    has_knobs = chance(generator, 0.6)
    for row, column in np.ndindex(rows, columns):
        size = (width / columns, tops[row] - tops[row + 1], 0.02)
        centre = (width * ((column + 0.5) / columns - 0.5), (tops[row] + tops[row + 1]) / 2, depth / 2 + 0.01)
        parts += _front("drawer" if row < drawers else "door", size, centre, has_knobs)
    doors, pulls = (rows - drawers) * columns, "knobs" if has_knobs else "bar handles"
    fronts = [counted(n, noun) for n, noun in ((doors, "door"), (drawers * columns, "drawer")) if n]
    return Assembly(tuple(parts), describe(f"{'tall ' if body > 1.2 else ''}cabinet", [*fronts, pulls]))


def _front(name: str, size: Vector, centre: Vector, has_knob: bool) -> list[Part]:
    """A door or a drawer front of `size` about `centre`, and what it is pulled by."""
    x, y, z = centre
    front = block(name, (size[0] - 0.02, size[1] - 0.02, size[2]), centre)
    if has_knob:
        return [front, Part("handle", spheroid(0.022, 0.022, 8), shift(x, y, z + 0.025))]
    reach = 0.3 * size[0] if name == "drawer" else 0.0
    rise = 0.2 * size[1] if name == "door" else 0.0
    return [front, rod("handle", (x - reach, y - rise, z + 0.03), (x + reach, y + rise, z + 0.03), 0.01)]
