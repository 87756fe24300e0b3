"""A wall and a box before it, seen exactly: depth by casting rays, colours that name their pixels."""

import numpy as np
import torch

from pointlab.data.pictures import decode_colour, decode_depth, encode_colour, encode_depth
from pointlab.data.sample import Cloud, Picture, View
from pointlab.data.shards import PreparedCloud, encode_shard
from pointlab.geometry.cameras import Pinhole, depth_to_points, look_at
from pointlab.storage import Storage, publish

BOXES = np.array([[[-9, -9, -5], [9, 9, -4]], [[-0.3, -0.4, -2.5], [0.7, 0.6, -2]]], np.float64)
"""Lowest and highest corner of each: the wall, the box."""
CAMERA = Pinhole(48, 36, 40.0, 41.0, 23.2, 17.9)
BESIDE = Pinhole(48, 36, 36.0, 35.0, 24.1, 17.2)
"""Wider, so that it sees all that `CAMERA` does from nearby."""
UNIT = 1e-4
LEVELS = 5
"""Steps of brightness from a pixel to the next, in red across, in green down."""


def pose_from(x: float, y: float) -> np.ndarray:
    """A camera beside the origin that looks at the wall past the box."""
    eye, target = torch.tensor([[x, y, 0.1], [0.1, 0.05, -4.0]], dtype=torch.float64)
    return look_at(eye, target).numpy()


def cast(camera: Pinhole, pose: np.ndarray, pixels: np.ndarray) -> np.ndarray:
    """Depth along the optical axis of what the camera sees at these (column, row)."""
    across = (pixels - (camera.cx, camera.cy)) / (camera.fx, camera.fy)
    rays = np.concatenate([across, np.ones((len(pixels), 1))], axis=1) @ pose[:3, :3]
    eye = -pose[:3, 3] @ pose[:3, :3]
    borders = (BOXES[:, :, None] - eye) / rays
    near, far = borders.min(1).max(2), borders.max(1).min(2)
    return np.where((near <= far) & (near > 0), near, np.inf).min(0)


def every_pixel(camera: Pinhole) -> np.ndarray:
    """(column, row), row by row."""
    rows, columns = np.mgrid[: camera.height, : camera.width]
    return np.stack([columns, rows], axis=2).reshape(-1, 2).astype(np.float64)


def colour_picture(camera: Pinhole, pose: np.ndarray) -> Picture:
    """A picture that says of each pixel where it is."""
    ramp = np.zeros((camera.height, camera.width, 3))
    ramp[..., :2] = every_pixel(camera).reshape(camera.height, camera.width, 2) * LEVELS / 255
    return Picture(encode_colour(ramp, "PNG"), camera, pose)


def named_pixels(colours: np.ndarray) -> np.ndarray:
    """The (column, row) that colours from 0 to 255 name."""
    return colours[..., :2] / LEVELS


def frame(pose: np.ndarray, colour: tuple[Pinhole, np.ndarray] | None = None) -> View:
    """What `CAMERA` measures from there, and a picture by the same camera or by another."""
    depth = cast(CAMERA, pose, every_pixel(CAMERA)).reshape(CAMERA.height, CAMERA.width)
    measured = Picture(encode_depth(depth, UNIT), CAMERA, pose, UNIT)
    return View("frame", colour_picture(*(colour or (CAMERA, pose))), measured)


def points_of(view: View) -> tuple[np.ndarray, np.ndarray]:
    """The points that its depth picture measured, in single precision, and the pixels they come from."""
    assert view.depth is not None
    depth = torch.from_numpy(decode_depth(view.depth.content, view.depth.unit))
    points, pixels = depth_to_points(depth, view.depth.camera, torch.from_numpy(view.depth.pose))
    return points.numpy().astype(np.float32), pixels.numpy()


def frame_cloud(number: int, *, num_points: int = 600) -> PreparedCloud:
    """Points of a frame in random order, whose colours name their pixels, and the frame."""
    view = frame(pose_from(0.4 * number, 0.1))
    points, pixels = points_of(view)
    kept = np.random.default_rng(number).permutation(len(points))[:num_points]
    assert view.colour is not None
    rows, columns = pixels[kept].T[::-1].astype(int)
    colours = decode_colour(view.colour.content)[rows, columns].astype(np.float32) / 255
    cloud = Cloud(points[kept], colours=colours, views=(view,))
    return PreparedCloud(100 + number, "", cloud)


def publish_clouds(storage: Storage, name: str, **splits: list[PreparedCloud]) -> None:
    """Store a set with a shard for each cloud."""
    shards = {
        f"{split}-{number:05d}-of-{len(clouds):05d}.parquet": encode_shard([cloud], None)
        for split, clouds in splits.items()
        for number, cloud in enumerate(clouds)
    }
    publish(storage, f"datasets/{name}", "dataset", shards, {})
