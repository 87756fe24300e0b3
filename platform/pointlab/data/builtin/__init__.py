"""Built-in sets that make the platform whole on an empty machine: clouds that are made, not downloaded.

From the bottom up: `primitives` are surfaces that are sampled exactly, `assembly` joins them into objects,
`objects` holds the classes, `optics` and `sensors` see them as a depth camera would, with `clutter` around
them; `materials` colour them and `portraits` take their pictures. `shapes` and `scans` are the two sources
that come of it, `rooms` furnishes whole rooms with the objects, and `room_objects` looks at them there.
"""

from pointlab.data.builtin.rooms import RoomObjects, Rooms
from pointlab.data.builtin.scans import Scans
from pointlab.data.builtin.shapes import Shapes

__all__ = ["RoomObjects", "Rooms", "Scans", "Shapes"]
