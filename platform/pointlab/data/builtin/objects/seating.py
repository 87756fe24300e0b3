"""Things to sit on: chairs, stools, benches and sofas. Low backs and long seats make them overlap."""

import numpy as np

from pointlab.data.builtin.assembly import Assembly, Part, Vector, block, moved, plate, rod, shift, turn
from pointlab.data.builtin.objects import backs, stands
from pointlab.data.builtin.objects.outlines import Outline, polygon, rounded, trapezoid
from pointlab.data.builtin.objects.variety import between, chance, counted, describe, pick, whole
from pointlab.data.builtin.primitives import Ring

CHAIR_STANDS = (stands.corner_legs, stands.corner_legs, stands.star, stands.runners, stands.pedestal)
STOOL_STANDS = (stands.corner_legs, stands.ring_legs, stands.pedestal, stands.star)
BENCH_STANDS = (stands.corner_legs, stands.panels, stands.trestle, stands.runners)


def chair(generator: np.random.Generator) -> Assembly:
    """A seat for one with a back, on legs, a star, runners or a pedestal, with or without arms."""
    width, depth = between(generator, 0.38, 0.55), between(generator, 0.38, 0.52)
    height, thickness = between(generator, 0.38, 0.5), between(generator, 0.025, 0.05)
    legs, stand = stands.stand(generator, stands.Frame(width, depth, height, thickness), CHAIR_STANDS)
    cushion = between(generator, 0.02, 0.1)
    seat = plate("seat", _seat_outline(generator, width, depth), cushion, height)
    panel = backs.Panel(0.95 * width, between(generator, 0.25, 0.6), between(generator, 0.02, 0.04))
    back, support = backs.backrest(generator, panel, shift(0, height + cushion, -0.47 * depth))
    arms = _arms(generator, (width, height + cushion, depth)) if chance(generator, 0.35) else []
    words = [support, stand, "armrests" if arms else ""]
    return Assembly((seat, *legs, *back, *arms), describe("chair", words))


def _seat_outline(generator: np.random.Generator, width: float, depth: float) -> Outline:
    return pick(
        generator,
        (rounded(width, depth, between(generator, 2.0, 10.0)), trapezoid(width, 0.85 * width, depth)),
    )


def _arms(generator: np.random.Generator, seat: Vector) -> list[Part]:
    """Two armrests over a seat whose `seat` is (width, height of its surface, depth)."""
    width, height, depth = seat
    rise, size = between(generator, 0.16, 0.26), between(generator, 0.025, 0.06)
    is_closed = chance(generator, 0.3)
    parts = []
    for x in (-width / 2, width / 2):
        parts.append(block("arm", (size, 0.03, depth), (x, height + rise, 0)))
        if is_closed:
            parts.append(block("arm", (0.02, rise, 0.9 * depth), (x, height + rise / 2, 0)))
        else:
            parts += [
                rod("arm", (x, height, z), (x, height + rise, z), 0.012) for z in (-0.4 * depth, 0.4 * depth)
            ]
    return parts


def stool(generator: np.random.Generator) -> Assembly:
    """A small seat, often high, sometimes with a foot ring or a low back."""
    size, height = between(generator, 0.28, 0.45), between(generator, 0.35, 0.8)
    thickness = between(generator, 0.025, 0.045)
    legs, stand = stands.stand(generator, stands.Frame(size, size, height, thickness), STOOL_STANDS)
    is_round, cushion = chance(generator, 0.6), between(generator, 0.02, 0.09)
    outline = polygon(size, 32) if is_round else rounded(size, size, between(generator, 4, 12))
    parts = [plate("seat", outline, cushion, height), *legs]
    words = [stand]
    if height > 0.55 and chance(generator, 0.5):
        ring = Ring(0.36 * size, 0.012)
        parts.append(Part("ring", ring, shift(0, 0.35 * height, 0) @ turn("x", np.pi / 2)))
        words.append("a foot ring")
    if chance(generator, 0.25):
        panel = backs.Panel(0.85 * size, between(generator, 0.1, 0.22), 0.02)
        back, _ = backs.backrest(generator, panel, shift(0, height + cushion, -0.45 * size))
        parts += back
        words.append("a low back")
    noun = f"{'high ' if height > 0.6 else ''}{'round' if is_round else 'square'} stool"
    return Assembly(tuple(parts), describe(noun, words))


def bench(generator: np.random.Generator) -> Assembly:
    """A long seat, whole or of boards, sometimes with a back or arms."""
    width, depth = between(generator, 0.9, 1.8), between(generator, 0.3, 0.48)
    height, thickness = between(generator, 0.38, 0.5), between(generator, 0.03, 0.07)
    legs, stand = stands.stand(generator, stands.Frame(0.9 * width, depth, height, thickness), BENCH_STANDS)
    boards = pick(generator, (1, 1, 3, 4, 5))
    pitch = depth / boards
    board = (width, between(generator, 0.025, 0.07), pitch * (1.0 if boards == 1 else 0.75))
    places = pitch * (np.arange(boards) - (boards - 1) / 2)
    parts = [block("seat", board, (0, height + board[1] / 2, z)) for z in places] + legs
    words = [f"a seat of {counted(boards, 'board')}" if boards > 1 else "", stand]
    if chance(generator, 0.45):
        panel = backs.Panel(width, between(generator, 0.3, 0.5), 0.035)
        style = pick(generator, (backs.solid, backs.slatted, backs.ladder))
        back, support = style(generator, panel)
        parts += moved(
            back, shift(0, height + board[1], -0.47 * depth) @ turn("x", -between(generator, 0, 0.2))
        )
        words.append(support)
    if chance(generator, 0.3):
        parts += _arms(generator, (0.95 * width, height + board[1], depth))
        words.append("armrests")
    return Assembly(tuple(parts), describe("bench", words))


def sofa(generator: np.random.Generator) -> Assembly:
    """One to four cushions on an upholstered base with a back and arms, some with a chaise."""
    seats, cushion = whole(generator, 1, 4), between(generator, 0.08, 0.18)
    pitch, depth = between(generator, 0.5, 0.75), between(generator, 0.7, 0.95)
    rise, base = between(generator, 0.03, 0.15), between(generator, 0.15, 0.28)
    width, back = seats * pitch, between(generator, 0.12, 0.25)
    seat = rise + base + cushion
    parts = [block("base", (width, base, depth), (0, rise + base / 2, 0))]
    places = pitch * (np.arange(seats) - (seats - 1) / 2)
    size = (0.96 * pitch, cushion, depth - back)
    parts += [block("seat", size, (x, seat - cushion / 2, back / 2)) for x in places]
    tall = between(generator, 0.3, 0.55)
    parts.append(block("back", (width, tall, back), (0, seat - cushion + tall / 2, (back - depth) / 2)))
    ends = [(side * 0.45 * width, end * 0.42 * depth) for side in (-1, 1) for end in (-1, 1)]
    parts += [rod("leg", (x, 0, z), (x, rise, z), 0.02, 0.03) for x, z in ends]
    extras, words = _sofa_extras(generator, (width, rise, depth), seat, pitch)
    noun = "armchair" if seats == 1 else "sofa"
    return Assembly((*parts, *extras), describe(noun, [counted(seats, "seat cushion"), *words]))


def _sofa_extras(
    generator: np.random.Generator, base: Vector, seat: float, pitch: float
) -> tuple[list[Part], list[str]]:
    """Arms of boxes or rolls, and a chaise, for a base of (width, height off the floor, depth)."""
    width, rise, depth = base
    parts, words = [], []
    if chance(generator, 0.85):
        size, top = between(generator, 0.1, 0.22), seat + between(generator, 0.05, 0.25)
        is_rolled = chance(generator, 0.4)
        for x in (-(width + size) / 2, (width + size) / 2):
            parts.append(block("arm", (size, top - rise, depth), (x, (top + rise) / 2, 0)))
            if is_rolled:
                parts.append(rod("arm", (x, top, -depth / 2), (x, top, depth / 2), 0.6 * size))
        words.append("rolled arms" if is_rolled else "box arms")
    if width > 2 * pitch and chance(generator, 0.3):
        length, x = between(generator, 0.5, 0.8), pick(generator, (-1, 1)) * (width - pitch) / 2
        parts.append(
            block("seat", (pitch, seat - rise, length), (x, (seat + rise) / 2, (depth + length) / 2))
        )
        words.append("a chaise")
    return parts, words
