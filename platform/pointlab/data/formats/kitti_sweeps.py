"""What one sweep of KITTI holds: its points, the views of its cameras, and colours of its points."""

from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float32, Int64

from pointlab.data.formats.axes import y_up_from
from pointlab.data.formats.depth_cloud import seen_colours
from pointlab.data.formats.kitti_calibration import Camera
from pointlab.data.formats.parsing import parsing, unreadable
from pointlab.data.pictures import decode_colour, size_of
from pointlab.data.sample import Picture, View
from pointlab.geometry.cameras import is_inside, project

COLUMNS = 4  # x y z reflectance


def read_table(path: Path) -> Float32[np.ndarray, "points 4"]:
    """x, y, z and reflectance of every point; DataError for a file that is not of whole rows."""
    with parsing(path, "a sweep"):
        content = path.read_bytes()
    if not content or len(content) % (4 * COLUMNS):
        raise unreadable(path, f"has {len(content)} bytes", "rows of four float32 numbers, 16 bytes a point")
    return np.frombuffer(content, "<f4").astype(np.float32).reshape(-1, COLUMNS)


def read_view(path: Path, name: str, camera: Camera) -> View:
    """The picture in `path` as the view of a camera, whose pose maps the y-up points."""
    with parsing(path, "a picture"):
        content = path.read_bytes()
    pinhole = camera.intrinsics.pinhole(size_of(content, str(path)), path)
    pose = camera.from_scanner @ np.linalg.inv(y_up_from("z"))
    return View(name, colour=Picture(content, pinhole, pose))


def greys(reflectance: Float32[np.ndarray, " points"], path: Path) -> Float32[np.ndarray, "points 3"]:
    """Grey colours, as bright as the points reflect; DataError for what is no share."""
    if not ((reflectance >= 0) & (reflectance <= 1)).all():
        raise unreadable(path, f"has reflectances up to {reflectance.max():g}", "reflectances from 0 to 1")
    return np.repeat(reflectance[:, None], 3, axis=1)


def pixel_colours(
    points: Float32[np.ndarray, "points 3"], views: tuple[View, ...]
) -> Float32[np.ndarray, "points 3"]:
    """Colour of each point in the first view that shows it, 0 where none does.

    Nothing counts as hidden: the cameras stand within half a metre of the scanner, and see what it sees.
    """
    colours = np.zeros_like(points)
    for view in reversed(views):
        assert view.colour is not None
        found, is_seen = seen_colours(
            points.astype(np.float64),
            decode_colour(view.colour.content, view.name),
            view.colour.camera,
            view.colour.pose,
            spacing=None,
        )
        colours[is_seen] = found[is_seen]
    return colours


def shown_points(
    points: Float32[np.ndarray, "points 3"], views: tuple[View, ...]
) -> Int64[np.ndarray, " shown"]:
    """Rows of the points that lie in a picture."""
    is_shown = np.zeros(len(points), dtype=bool)
    for view in views:
        assert view.colour is not None
        wide, pose = torch.from_numpy(points.astype(np.float64)), torch.from_numpy(view.colour.pose)
        is_shown |= is_inside(*project(wide, view.colour.camera, pose), view.colour.camera).numpy()
    return np.flatnonzero(is_shown)
