"""Furniture where it belongs: against walls, in the middle, around tables and on top of them.

Every item keeps to itself: bounding boxes never overlap, and nothing stands before a door.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from jaxtyping import Float64

from pointlab.data.builtin.objects.variety import between, pick, whole
from pointlab.data.builtin.rooms.item import Item, make_item
from pointlab.data.builtin.rooms.shell import Shell

Span = tuple[float, float]
Number = tuple[int, int]

GAP = 0.03
"""Metres kept between neighbours."""
DOORWAY = 0.9
"""Metres kept free before a door, so that it opens."""
MAX_TRIES = 30
QUARTER = np.pi / 2
FACINGS = {0: QUARTER, 1: -QUARTER, 4: 0.0, 5: 2 * QUARTER}
"""Wall -> the turn that makes things before it, whose backs are at -z, face the room."""


@dataclass(frozen=True)
class Wish:
    """Some things of one kind: where they stand, what is put around them, and what on top of them."""

    names: tuple[str, ...]
    place: Literal["wall", "middle", "anywhere"] = "wall"
    number: Number = (1, 1)
    heights: Span = (0.0, 2.3)
    seats: tuple[str, ...] = ()
    num_seats: Number = (0, 0)
    on_top: tuple[str, ...] = ()
    num_on_top: Number = (0, 0)


WORK: Span = (0.6, 1.2)
"""Heights of tables that one sits at."""
ROOM_TYPES: dict[str, tuple[Wish, ...]] = {
    "bedroom": (
        Wish(("bed",), number=(1, 2)),
        Wish(("cabinet",), number=(1, 2), on_top=("lamp", "vase", "laptop", "bowl"), num_on_top=(0, 3)),
        Wish(("chair", "stool", "bench"), "anywhere", (0, 1)),
        Wish(("lamp", "plant", "shelf"), number=(1, 2)),
    ),
    "dining room": (
        Wish(
            ("table",), "middle", heights=WORK,
            seats=("chair", "chair", "stool", "bench"), num_seats=(3, 6),
            on_top=("bowl", "bottle", "mug", "vase"), num_on_top=(2, 4),
        ),
        Wish(("cabinet",), number=(1, 2), on_top=("vase", "bowl", "bottle", "plant"), num_on_top=(1, 3)),
        Wish(("plant", "lamp", "shelf"), number=(1, 2)),
    ),
    "living room": (
        Wish(("sofa",), number=(1, 2)),
        Wish(("table",), "middle", on_top=("vase", "bowl", "mug", "bottle", "laptop"), num_on_top=(1, 3)),
        Wish(("cabinet", "table"), heights=(0.4, 1.2), on_top=("monitor", "vase", "lamp"), num_on_top=(1, 3)),
        Wish(("shelf", "plant", "lamp"), number=(1, 3)),
        Wish(("chair", "bench", "stool"), "anywhere", (0, 2)),
    ),
    "office": (
        Wish(
            ("table",), number=(1, 2), heights=WORK, seats=("chair", "chair", "stool"), num_seats=(1, 1),
            on_top=("monitor", "laptop", "mug", "lamp", "bottle"), num_on_top=(2, 4),
        ),
        Wish(("shelf", "cabinet"), number=(1, 3), on_top=("plant", "mug", "vase"), num_on_top=(0, 2)),
        Wish(("plant", "lamp", "stool", "chair"), "anywhere", (0, 2)),
    ),
}  # fmt: skip
"""Type of room -> what it is furnished with, the most important first."""


@dataclass
class Furnishing:
    """A room that fills up: items so far, and boxes (low and high corners) that are taken."""

    shell: Shell
    items: list[Item] = field(default_factory=list)
    taken: list[Float64[np.ndarray, "2 3"]] = field(default_factory=list)

    def add(self, item: Item) -> bool:
        """Keep `item` if it fits where it is, inside the room and apart from everything else."""
        box = np.stack([item.low, item.high])
        width, height, depth = self.shell.size
        is_inside = np.all(box[0] >= (-width / 2, -0.02, -depth / 2))
        is_inside &= bool(np.all(box[1] <= (width / 2, height, depth / 2)))
        # what stands on another thing touches it, so the vertical gap is none
        gap = np.array([GAP, -1e-3, GAP])
        if not is_inside or any(
            np.all(box[0] < other[1] + gap) and np.all(other[0] < box[1] + gap) for other in self.taken
        ):
            return False
        self.items.append(item)
        self.taken.append(box)
        return True


def furnish(kind: str, shell: Shell, generator: np.random.Generator) -> list[Item]:
    """The items of a room of this kind, at least one; what finds no place is left out."""
    room = Furnishing(shell, taken=[_doorway(shell)])
    while not room.items:
        _fulfil(room, ROOM_TYPES[kind], generator)
    return room.items


def _fulfil(room: Furnishing, wishes: Sequence[Wish], generator: np.random.Generator) -> None:
    for wish in wishes:
        for _ in range(whole(generator, *wish.number)):
            item = make_item(pick(generator, wish.names), wish.heights, generator)
            placed = _place(room, item, wish.place, generator)
            if placed is not None:
                _seat(room, placed, wish, generator)
                _lay(room, placed, wish, generator)


def _doorway(shell: Shell) -> Float64[np.ndarray, "2 3"]:
    """The box before the door."""
    door = next(opening for opening in shell.openings if opening.name == "door")
    along, across = (2, 0) if door.face < 2 else (0, 2)
    side = 1.0 if door.face % 2 else -1.0
    wall = side * shell.size[across] / 2
    box = np.zeros((2, 3))
    box[:, along] = door.low[0], door.high[0]
    box[:, across] = sorted((wall, wall - side * DOORWAY))
    box[1, 1] = door.high[1]
    return box


def _place(room: Furnishing, item: Item, place: str, generator: np.random.Generator) -> Item | None:
    """The item in the first of some random places that is free, or None."""
    for _ in range(MAX_TRIES):
        if place == "wall":
            candidate = _before_wall(room.shell, item, generator)
        else:
            spread = 0.3 if place == "middle" else 1.0
            quarters = whole(generator, 0, 3) * QUARTER
            angle = quarters if item.support is not None else between(generator, 0, 2 * np.pi)
            x, z = (spread * between(generator, -0.5, 0.5) * room.shell.size[axis] for axis in (0, 2))
            candidate = item.turned(angle).shifted(np.array([x, 0.0, z]))
        if room.add(candidate):
            return candidate
    return None


def _before_wall(shell: Shell, item: Item, generator: np.random.Generator) -> Item:
    """The item with its back to some place of some wall."""
    face = pick(generator, tuple(FACINGS))
    turned = item.turned(FACINGS[face])
    along, across = (2, 0) if face < 2 else (0, 2)
    offset = np.zeros(3)
    gap = between(generator, 0.01, 0.06)
    half = shell.size[across] / 2
    offset[across] = half - gap - turned.high[across] if face % 2 else gap - half - turned.low[across]
    reach = shell.size[along] / 2
    # what is longer than the wall finds no place wherever it is put, and takes its draw like all others
    offset[along] = between(generator, *sorted((-reach - turned.low[along], reach - turned.high[along])))
    return turned.shifted(offset)


def _seat(room: Furnishing, table: Item, wish: Wish, generator: np.random.Generator) -> None:
    """Seats around a table that face it, where there is room for them."""
    centre = (table.low + table.high) / 2
    for _ in range(whole(generator, *wish.num_seats)):
        item = make_item(pick(generator, wish.seats), (0.0, 1.2), generator)
        for face in generator.permutation(list(FACINGS)).tolist():
            # at the side where the wall it would lean on is, looking at the table
            turned = item.turned(FACINGS[face])
            along, across = (2, 0) if face < 2 else (0, 2)
            offset = np.zeros(3)
            gap = between(generator, 0.05, 0.2)
            if face % 2:
                offset[across] = table.high[across] + gap - turned.low[across]
            else:
                offset[across] = table.low[across] - gap - turned.high[across]
            half = (table.high[along] - table.low[along]) / 2
            offset[along] = centre[along] + between(generator, -0.7, 0.7) * half
            if room.add(turned.shifted(offset)):
                break


def _lay(room: Furnishing, table: Item, wish: Wish, generator: np.random.Generator) -> None:
    """Things on top, whose bounding boxes lie within the support."""
    if table.support is None or not wish.on_top:
        return
    low, high = table.support
    for _ in range(whole(generator, *wish.num_on_top)):
        item = make_item(pick(generator, wish.on_top), (0.0, 0.7), generator)
        for _ in range(MAX_TRIES):
            # things that are looked at look forward, with some play
            turned = item.turned(_heading(table, room.shell) + between(generator, -0.4, 0.4))
            room_left = (high - low) - (turned.high - turned.low)
            if room_left[0] < 0 or room_left[2] < 0:
                continue
            x, z = (low[k] - turned.low[k] + room_left[k] * generator.random() for k in (0, 2))
            if room.add(turned.shifted(np.array([x, low[1] + 1e-3 - turned.low[1], z]))):
                break


def _heading(table: Item, shell: Shell) -> float:
    """The turn with which a thing on `table` has its back to the nearest wall."""
    half = np.array(shell.size) / 2
    left, right = table.low[0] + half[0], half[0] - table.high[0]
    rear, front = table.low[2] + half[2], half[2] - table.high[2]
    return tuple(FACINGS.values())[int(np.argmin((left, right, rear, front)))]
