"""The lists of a TUM RGB-D sequence: which pictures and poses were taken at the same time."""

from pathlib import Path

import numpy as np
from jaxtyping import Float64, Int64
from scipy.spatial.transform import Rotation

from pointlab.data.formats.files import read_lines, require_file
from pointlab.data.formats.number_files import parse_numbers
from pointlab.data.formats.parsing import path_below, unreadable
from pointlab.errors import DataError

MAX_SECONDS = 0.02
"""Largest difference of time stamps that are taken for one moment, as in the set's own tool."""
NUM_POSE_COLUMNS = 8
COLOURS, DEPTHS, POSES = LISTS = ("rgb.txt", "depth.txt", "groundtruth.txt")


def read_associations(
    sequence: Path,
) -> list[tuple[str, Path, Path, Float64[np.ndarray, "4 4"]]]:
    """Name, colour picture, depth picture and pose (world from camera) of every frame, in the order of time.

    A depth picture is paired with the colour picture and the pose that are nearest in time; one without
    both within 0.02 s is left out.
    """
    depth_times, depth_files = _read_pictures(sequence / DEPTHS)
    colour_times, colour_files = _read_pictures(sequence / COLOURS)
    pose_times, poses = _read_poses(sequence / POSES)
    nearest_colour, nearest_pose = _nearest(depth_times, colour_times), _nearest(depth_times, pose_times)
    return [
        (
            depth_files[row].stem,
            require_file(colour_files[nearest_colour[row]]),
            require_file(depth_files[row]),
            poses[nearest_pose[row]],
        )
        for row in range(len(depth_files))
        if nearest_colour[row] >= 0 and nearest_pose[row] >= 0
    ]


def _nearest(
    times: Float64[np.ndarray, " frames"], others: Float64[np.ndarray, " others"]
) -> Int64[np.ndarray, " frames"]:
    """The row of `others`, which are sorted, nearest to each of `times`; -1 where none is near enough."""
    after = np.searchsorted(others, times).clip(1, max(len(others) - 1, 1))
    before = after - 1
    after = after.clip(max=len(others) - 1)
    is_before = np.abs(others[before] - times) <= np.abs(others[after] - times)
    rows = np.where(is_before, before, after)
    return np.where(np.abs(others[rows] - times) <= MAX_SECONDS, rows, -1)


def _read_pictures(path: Path) -> tuple[Float64[np.ndarray, " frames"], list[Path]]:
    """Times, in rising order, and files of a list with lines of both."""
    entries = []
    for line in _entries(path):
        time, _, file = line.partition(" ")
        try:
            entries.append((float(time), path.parent / path_below(file.strip(), str(path))))
        except ValueError:
            raise unreadable(path, f"has the line {line!r}", "lines of a time stamp and a file") from None
    entries.sort()
    return np.array([time for time, _ in entries]), [file for _, file in entries]


def _read_poses(path: Path) -> tuple[Float64[np.ndarray, " poses"], Float64[np.ndarray, "poses 4 4"]]:
    """Times, in rising order, and poses of lines `time tx ty tz qx qy qz qw`."""
    table = parse_numbers(_entries(path), path)
    lengths = np.linalg.norm(table[:, 4:], axis=1)
    if table.shape[1] != NUM_POSE_COLUMNS or not (np.isfinite(table).all() and (lengths > 0).all()):
        raise DataError(
            f"{path} has lines of {table.shape[1]} numbers, or poses that are NaN or without direction.",
            expected="lines of 8 finite numbers: time, position, quaternion (x y z w)",
            remedy="unpack this file again, or take the line out",
        )
    table = table[np.argsort(table[:, 0], kind="stable")]
    poses = np.tile(np.eye(4), (len(table), 1, 1))
    poses[:, :3, :3] = Rotation.from_quat(table[:, 4:]).as_matrix()
    poses[:, :3, 3] = table[:, 1:4]
    return table[:, 0], poses


def _entries(path: Path) -> list[str]:
    """Lines of a list without its comments; at least one."""
    lines = [line for line in read_lines(path) if not line.startswith("#")]
    if not lines:
        raise unreadable(path, "has only comments", "a list with a line a frame")
    return lines
