"""`rooms`: furnished rooms seen by a hand-held RGB-D camera, with a label for every point.

From the bottom up: an `item` is a sampled piece of furniture, `furnishing` puts items where they belong,
`shell` is floor, ceiling, walls and what opens in them, `scene` is all of it as a camera sees it;
`handheld` says where the camera goes, `sensing` what its two lenses record, `source` makes clouds of that,
and `belongings` clouds and pictures of single items.
"""

from pointlab.data.builtin.rooms.belongings import RoomObjects
from pointlab.data.builtin.rooms.source import Rooms

__all__ = ["RoomObjects", "Rooms"]
