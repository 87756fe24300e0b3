"""Small RGB-D recordings of a wall with a box before it, in the layouts of 7-Scenes, TUM and ScanNet."""

import json
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from PIL import Image

from pointlab.geometry.cameras import Pinhole

WIDTH, HEIGHT = 32, 24
DEPTH = Pinhole(WIDTH, HEIGHT, 30.0, 31.0, 15.25, 11.5)
COLOUR = Pinhole(40, 30, 36.0, 36.0, 19.0, 14.5)
COLOUR_FROM_DEPTH = np.array([[1, 0, 0, -0.3], [0, 1, 0, 0.02], [0, 0, 1, 0.01], [0, 0, 0, 1.0]])
"""The colour camera is 30 cm to the right, so the box hides other parts of the wall from it."""
WALL, BOX = 2.5, 1.0
"""Depths in metres, all along the optical axis."""
BOX_COLUMNS, BOX_ROWS = slice(12, 20), slice(8, 16)
RED, BLUE = (200, 0, 0), (0, 0, 200)
"""Colours of the wall and of the box."""


@dataclass(frozen=True)
class Shot:
    """What one frame holds: depths in metres, 0 where nothing was measured, and a colour picture."""

    depth: np.ndarray
    colour: np.ndarray


def depth_picture() -> np.ndarray:
    depth = np.full((HEIGHT, WIDTH), WALL)
    depth[BOX_ROWS, BOX_COLUMNS] = BOX
    depth[0, :3] = 0
    return depth


def colour_picture(camera: Pinhole, camera_from_depth: np.ndarray) -> np.ndarray:
    """Wall and box as a camera sees them whose axes are those of the depth camera."""
    picture = np.full((camera.height, camera.width, 3), RED, dtype=np.uint8)
    depth = BOX + camera_from_depth[2, 3]
    corners = []
    for column, row in ((BOX_COLUMNS.start, BOX_ROWS.start), (BOX_COLUMNS.stop - 1, BOX_ROWS.stop - 1)):
        x = (column - DEPTH.cx) / DEPTH.fx * BOX + camera_from_depth[0, 3]
        y = (row - DEPTH.cy) / DEPTH.fy * BOX + camera_from_depth[1, 3]
        corners.append((camera.fx * x / depth + camera.cx, camera.fy * y / depth + camera.cy))
    (left, top), (right, bottom) = np.round(corners).astype(int).tolist()
    picture[max(top, 0) : bottom + 1, max(left, 0) : right + 1] = BLUE
    return picture


def shot(camera: Pinhole = COLOUR, camera_from_depth: np.ndarray = COLOUR_FROM_DEPTH) -> Shot:
    return Shot(depth_picture(), colour_picture(camera, camera_from_depth))


def pose(number: int) -> np.ndarray:
    """A turn about all axes and a move: world from camera."""
    angles = 0.2 * number + np.array([0.3, -0.5, 0.8])
    matrix = np.eye(4)
    for first, second, angle in ((1, 2, angles[0]), (0, 2, angles[1]), (0, 1, angles[2])):
        turn = np.eye(4)
        turn[first, first] = turn[second, second] = np.cos(angle)
        turn[first, second], turn[second, first] = -np.sin(angle), np.sin(angle)
        matrix = matrix @ turn
    matrix[:3, 3] = [0.5 * number, -0.25, 1.0]
    return matrix


def save_depth(path: Path, depth: np.ndarray, counts_per_metre: float) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.round(depth * counts_per_metre).astype(np.uint16)).save(path)


def save_colour(path: Path, colour: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(colour).save(path)


def save_matrix(path: Path, matrix: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savetxt(path, matrix, fmt="%.17e")


def calibration() -> dict[str, object]:
    """What calib.json holds."""
    cameras = {
        name: {"fx": c.fx, "fy": c.fy, "cx": c.cx, "cy": c.cy, "w": c.width, "h": c.height}
        for name, c in (("depth_intrinsics", DEPTH), ("color_intrinsics", COLOUR))
    }
    return {**cameras, "depth_to_color": COLOUR_FROM_DEPTH.tolist(), "depth_unit_m": 0.001}


def write_7scenes(root: Path) -> None:
    """Sequences 1 to 3 of four frames, their lists, and the calibration of two cameras."""
    for sequence in (1, 2, 3):
        for number in range(4):
            stem = root / f"seq-0{sequence}" / f"frame-{number:06d}"
            taken = shot()
            save_depth(stem.with_suffix(".depth.png"), taken.depth, 1000)
            save_colour(stem.with_suffix(".color.png"), taken.colour)
            save_matrix(stem.with_suffix(".pose.txt"), pose(number))
    (root / "TrainSplit.txt").write_text("sequence1\nsequence3\n")
    (root / "TestSplit.txt").write_text("sequence2\r\n")
    (root / "calib.json").write_text(json.dumps(calibration()))


def write_tum(root: Path) -> None:
    """One sequence; colour lags by 10 ms, the third depth picture has no pose near it."""
    folder = root / "rgbd_dataset_freiburg1_wall"
    lists: dict[str, list[str]] = {"rgb": [], "depth": [], "groundtruth": []}
    taken = shot(replace(DEPTH, width=640, height=480), np.eye(4))
    depth, colour = np.zeros((480, 640)), np.zeros((480, 640, 3), dtype=np.uint8)
    depth[:HEIGHT, :WIDTH], colour[:HEIGHT, :WIDTH] = taken.depth, taken.colour[:HEIGHT, :WIDTH]
    for number, time in enumerate([100.0, 100.1, 100.2]):
        save_depth(folder / f"depth/{time:.6f}.png", depth, 5000)
        save_colour(folder / f"rgb/{time + 0.01:.6f}.png", colour)
        lists["depth"].append(f"{time:.6f} depth/{time:.6f}.png")
        lists["rgb"].append(f"{time + 0.01:.6f} rgb/{time + 0.01:.6f}.png")
        if number < 2:
            half = 0.1 * number  # half the angle of a turn about z
            lists["groundtruth"].append(f"{time - 0.015:.4f} {number} 2 3 0 0 {np.sin(half)} {np.cos(half)}")
    for name, lines in lists.items():
        (folder / f"{name}.txt").write_text("# a list\n" + "\n".join(lines) + "\n")


def write_scannet_export(root: Path) -> None:
    """Two scans of one room; the second frame of each has lost its pose."""
    body_from_depth, body_from_colour = np.eye(4), np.eye(4)
    body_from_depth[:3, 3] = [0.05, 0, 0]
    body_from_colour = body_from_depth @ np.linalg.inv(COLOUR_FROM_DEPTH)
    for scene in ("scene0001_00", "scene0001_01"):
        for number in range(3):
            taken = shot()
            save_depth(root / scene / "depth" / f"{number}.png", taken.depth, 1000)
            save_colour(root / scene / "color" / f"{number}.jpg", taken.colour)
            lost = np.full((4, 4), -np.inf)
            save_matrix(root / scene / "pose" / f"{number}.txt", lost if number == 1 else pose(number))
        folder = root / scene / "intrinsic"
        for name, camera in (("depth", DEPTH), ("color", COLOUR)):
            matrix = np.eye(4)
            matrix[0, 0], matrix[1, 1], matrix[:2, 2] = camera.fx, camera.fy, (camera.cx, camera.cy)
            save_matrix(folder / f"intrinsic_{name}.txt", matrix)
        save_matrix(folder / "extrinsic_depth.txt", body_from_depth)
        save_matrix(folder / "extrinsic_color.txt", body_from_colour)


WRITERS = {"7scenes": write_7scenes, "tum": write_tum, "scannet": write_scannet_export}
