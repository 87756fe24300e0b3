"""Where a person who films a room stands and points the camera: a short walk, looking at the furniture."""

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float64

from pointlab.data.builtin.objects.variety import between
from pointlab.data.builtin.rooms.scene import Scene
from pointlab.geometry.cameras import look_at

EYE_HEIGHTS = (1.2, 1.7)
"""Metres above the floor at which a camera is held."""
CLEARANCE = 0.35
"""Metres to the nearest thing: an arm's length, and beyond the near limit of depth cameras."""
STEPS = (0.15, 0.35)
"""Metres between views: they overlap by more than half."""
MAX_TILT = 0.06
"""Roll, as the sideways part of the up vector: about 3 degrees."""
MAX_TURN = np.radians(70)
"""Turn over a whole walk: a little more than the camera sees at once."""
PITCHES = (np.radians(-40), np.radians(-8))
"""Range of angles against the horizon; things are looked down at."""
NUM_TRIES = 32

Place = Float64[np.ndarray, "3"]


def walk(scene: Scene, num_views: int, generator: np.random.Generator) -> list[Float64[np.ndarray, "4 4"]]:
    """Poses (camera_from_points) of `num_views` views in a row."""
    eye = _free_place(scene, [_anywhere(scene, generator) for _ in range(NUM_TRIES)])
    first, last = (_direction(eye, target) for target in _interests(scene, eye, generator))
    turn = last - first
    turn[0] = np.clip((turn[0] + np.pi) % (2 * np.pi) - np.pi, -MAX_TURN, MAX_TURN)
    poses = []
    for number in range(num_views):
        heading, pitch = first + turn * number / max(num_views - 1, 1)
        ahead = np.array([np.sin(heading), np.tan(pitch), np.cos(heading)])
        up = (between(generator, -MAX_TILT, MAX_TILT), 1.0, between(generator, -MAX_TILT, MAX_TILT))
        poses.append(look_at(torch.from_numpy(eye), torch.from_numpy(eye + ahead), up).numpy())
        eye = _free_place(scene, [_step(eye, generator) for _ in range(NUM_TRIES)])
    return poses


def _direction(eye: Place, target: Place) -> Float64[np.ndarray, "2"]:
    """Heading and pitch, in radians, from `eye` to `target`, the pitch within what people do."""
    x, y, z = target - eye
    return np.array([np.arctan2(x, z), np.clip(np.arctan2(y, np.hypot(x, z)), *PITCHES)])


def _anywhere(scene: Scene, generator: np.random.Generator) -> Place:
    width, _, depth = scene.shell.size
    x, z = between(generator, -0.5, 0.5) * width, between(generator, -0.5, 0.5) * depth
    return np.array([x, between(generator, *EYE_HEIGHTS), z])


def _step(eye: Place, generator: np.random.Generator) -> Place:
    heading, length = between(generator, 0, 2 * np.pi), between(generator, *STEPS)
    rise = between(generator, -0.05, 0.05)
    place: Place = eye + np.array([length * np.sin(heading), rise, length * np.cos(heading)])
    return place


def _free_place(scene: Scene, places: Sequence[Place]) -> Place:
    """The first of `places` that is clear of walls and furniture, or the clearest."""
    clearances = [_clearance(scene, place) for place in places]
    free = [place for place, clear in zip(places, clearances, strict=True) if clear >= CLEARANCE]
    return free[0] if free else places[int(np.argmax(clearances))]


def _clearance(scene: Scene, place: Place) -> float:
    """Distance to the nearest wall or bounding box; negative outside the room, 0 in a box."""
    width, height, depth = scene.shell.size
    to_walls = min(width / 2 - abs(place[0]), depth / 2 - abs(place[2]), height - place[1])
    outside = [np.maximum(np.maximum(item.low - place, place - item.high), 0.0) for item in scene.items]
    return float(min([to_walls, *(np.linalg.norm(gap) for gap in outside)]))


def _interests(scene: Scene, eye: Place, generator: np.random.Generator) -> tuple[Place, Place]:
    """Middles of two items to look at, each the farther of a random pair, so that more is in the picture."""
    middles = [
        (scene.items[row].low + scene.items[row].high) / 2 for row in generator.permutation(len(scene.items))
    ]
    first, last = (
        max(pair, key=lambda middle: float(np.linalg.norm((middle - eye)[[0, 2]])))
        for pair in (middles[:2], middles[-2:])
    )
    return first, last


def glance(
    scene: Scene, target: Float64[np.ndarray, "3"], generator: np.random.Generator
) -> Float64[np.ndarray, "4 4"]:
    """A pose (camera_from_points) that sees `target` in the middle, from anywhere in the room."""
    eye = _free_place(scene, [_anywhere(scene, generator) for _ in range(NUM_TRIES)])
    up = (between(generator, -MAX_TILT, MAX_TILT), 1.0, between(generator, -MAX_TILT, MAX_TILT))
    return look_at(torch.from_numpy(eye), torch.from_numpy(target), up).numpy()
