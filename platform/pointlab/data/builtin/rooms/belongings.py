"""`room_objects`: single pieces of furniture as they stand in rooms, each in pictures cut out around it.

What networks of pictures usually learn from: one thing in the middle, its class, and whatever is around it.
In the pictures of whole rooms there are many things, and those of `shapes` have nothing behind them.
"""

from typing import Literal

import numpy as np
from jaxtyping import Bool, Float, Float64
from PIL import Image
from pydantic import Field

from pointlab.data.builtin.generated import GeneratedSource
from pointlab.data.builtin.objects import CLASSES
from pointlab.data.builtin.objects.variety import between, pick, with_article
from pointlab.data.builtin.rooms.furnishing import ROOM_TYPES
from pointlab.data.builtin.rooms.handheld import glance
from pointlab.data.builtin.rooms.scene import Scene, Sight, make_scene
from pointlab.data.builtin.rooms.sensing import make_rig
from pointlab.data.pictures import encode_colour
from pointlab.data.sample import Cloud, Picture, View
from pointlab.geometry.cameras import Pinhole
from pointlab.seeding import Key, generator

WIDTH, HEIGHT = 160, 120
"""Pixels of what the camera sees, as in `rooms`: textures and edges are to look alike."""
MIN_PIXELS = 150
"""Of a thing that is in view: of fewer, nobody could tell what it is."""
MARGINS = (1.1, 1.7)
"""Edge of a window, in those of the thing in it."""
NUM_GLANCES = 6
"""At a thing before another one is looked for: some are hidden from almost everywhere."""


class RoomObjects(GeneratedSource):
    """The furniture of rooms thing by thing: what is seen of it, with pictures; y-up, in metres."""

    kind: Literal["room_objects"] = "room_objects"
    num_views: int = Field(default=2, ge=1)
    """Pictures of each thing, from different places: a room takes longer to make than to look at."""
    view_size: int = Field(default=64, ge=16)
    """Pixels along each side of a picture: about as many as the camera sees of a chair."""

    @property
    def gives_pictures(self) -> bool:
        """Of everything."""
        return True

    @property
    def gives_cameras(self) -> bool:
        """Those of the windows."""
        return True

    @property
    def stream(self) -> str:
        """There is one stream."""
        return "room_objects"

    @property
    def part_names(self) -> tuple[str, ...]:
        """Nothing is told of parts."""
        return ()

    @property
    def points_per_cloud(self) -> None:
        """As many as pixels see the thing."""
        return

    def make(self, class_name: str, key: tuple[Key, ...]) -> Cloud:
        """What is seen of a thing of this class from its first place, and its pictures from all of them."""
        source = generator(*key)
        while True:
            scene = make_scene(pick(source, _rooms_with(class_name)), source)
            for number, item in enumerate(scene.items):
                looks = self._looks(scene, number, source) if item.name == class_name else []
                if len(looks) == self.num_views:
                    return self._cloud(class_name, scene, looks, source)

    def _looks(self, scene: Scene, number: int, source: np.random.Generator) -> list["_Look"]:
        """Glances at an item that show enough of it, as many as there are to be views, or fewer."""
        camera, item = make_rig(WIDTH, HEIGHT).colour, scene.items[number]
        instance = len(scene.semantics) - len(scene.items) + number  # the surfaces of the shell come first
        looks: list[_Look] = []
        for _ in range(NUM_GLANCES * self.num_views):
            pose = glance(scene, (item.low + item.high) / 2, source)
            sight = scene.look(camera, pose)
            if (is_it := sight.instances == instance).sum() >= MIN_PIXELS:
                looks.append((camera, pose, sight, is_it))
            if len(looks) == self.num_views:
                break
        return looks

    def _cloud(
        self, class_name: str, scene: Scene, looks: list["_Look"], source: np.random.Generator
    ) -> Cloud:
        _, _, sight, is_it = looks[0]
        painted = [scene.colours(look[2]) for look in looks]
        return Cloud(
            points=sight.points[is_it].astype(np.float32),
            label=list(CLASSES).index(class_name),
            normals=sight.normals[is_it].astype(np.float32),
            colours=painted[0][is_it].clip(0, 1).astype(np.float32),
            caption=with_article(class_name.replace("_", " ")),
            views=tuple(
                View(f"{place:02d}", _window(look, colours, self.view_size, between(source, *MARGINS)))
                for place, (look, colours) in enumerate(zip(looks, painted, strict=True))
            ),
        )


_Look = tuple[Pinhole, Float64[np.ndarray, "4 4"], Sight, Bool[np.ndarray, " pixels"]]
"""A camera, its pose, what it sees, and which of its pixels show the thing."""


def _rooms_with(class_name: str) -> tuple[str, ...]:
    """The types of rooms that may have such a thing."""
    return tuple(
        kind
        for kind, wishes in ROOM_TYPES.items()
        if any(class_name in (*wish.names, *wish.seats, *wish.on_top) for wish in wishes)
    )


def _window(look: _Look, colours: Float[np.ndarray, "pixels 3"], size: int, margin: float) -> Picture:
    """A square around the thing, shifted into the picture where it would end beyond it, resized to `size`."""
    camera, pose, _, is_it = look
    rows, columns = np.nonzero(is_it.reshape(HEIGHT, WIDTH))
    extent = 1 + max(np.ptp(rows), np.ptp(columns))
    edge = int(min(HEIGHT, np.ceil(margin * extent)))
    left, top = (
        int(np.clip((places.min() + places.max() + 1 - edge) // 2, 0, side - edge))
        for places, side in ((columns, WIDTH), (rows, HEIGHT))
    )
    seen = (255 * colours.clip(0, 1)).round().astype(np.uint8).reshape(HEIGHT, WIDTH, 3)
    window = Image.fromarray(seen[top : top + edge, left : left + edge])
    shown = np.asarray(window.resize((size, size), Image.Resampling.BILINEAR)) / 255
    return Picture(encode_colour(shown), camera.cropped(left, top, edge, edge).resized(size, size), pose)
