"""KITTI's calibration files: from the points of the laser scanner to the pixels of its colour cameras.

Lines are `NAME: numbers`, matrices row by row. A point y of the scanner lies at the pixel P2 R0_rect
Tr_velo_to_cam y in the object benchmark (readme.txt of its development kit), and at P2 Tr y in the odometry
benchmark (its readme.txt), where the left colour camera is 2 and the right one 3.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float64

from pointlab.data.formats.files import read_lines
from pointlab.data.formats.parsing import unreadable
from pointlab.data.formats.rgbd_calibration import Intrinsics, Matrix, require_rigid

Projection = Float64[np.ndarray, "3 4"]
CAMERAS = {"image_2": "P2", "image_3": "P3"}
"""Folder of each colour camera's pictures -> its projection."""


@dataclass(frozen=True)
class Camera:
    """How a colour camera sees, and the pose that leads to it from the scanner's own frame."""

    intrinsics: Intrinsics
    from_scanner: Matrix


def read_cameras(path: Path) -> dict[str, Camera]:
    """Both colour cameras, by the folder of their pictures; DataError for a file that tells too little."""
    matrices = _read_matrices(path)
    if "Tr" in matrices:
        rectified_from_scanner = _rigid(matrices, "Tr", path)
    else:
        rectified_from_scanner = _rigid(matrices, "R0_rect", path) @ _rigid(matrices, "Tr_velo_to_cam", path)
    cameras = {}
    for folder, name in CAMERAS.items():
        intrinsics, camera_from_rectified = _factors(_shaped(matrices, name, (3, 4), path), name, path)
        cameras[folder] = Camera(intrinsics, camera_from_rectified @ rectified_from_scanner)
    return cameras


def _read_matrices(path: Path) -> dict[str, Float64[np.ndarray, "..."]]:
    matrices = {}
    for line in read_lines(path):
        name, separator, numbers = line.partition(":")
        try:
            matrices[name] = np.array(numbers.split(), dtype=np.float64)
        except ValueError:
            separator = ""
        if not separator:
            raise unreadable(path, f"has the line {line[:60]!r}", "lines such as 'P2: 721.5 0 609.6 ...'")
    return matrices


def _shaped(
    matrices: Mapping[str, Float64[np.ndarray, "..."]], name: str, shape: tuple[int, int], path: Path
) -> Float64[np.ndarray, "rows columns"]:
    found = matrices.get(name)
    if found is None or found.size != shape[0] * shape[1]:
        numbers = "no" if found is None else str(found.size)
        raise unreadable(
            path, f"has {numbers} numbers for {name}", f"{shape[0] * shape[1]} numbers for {name}"
        )
    return found.reshape(shape)


def _rigid(matrices: Mapping[str, Float64[np.ndarray, "..."]], name: str, path: Path) -> Matrix:
    """The 4x4 matrix of a rotation (3x3), or of a rotation and a move (3x4)."""
    columns = 3 if name == "R0_rect" else 4
    matrix = np.eye(4)
    matrix[:3, :columns] = _shaped(matrices, name, (3, columns), path)
    return require_rigid(matrix, path)


def _factors(projection: Projection, name: str, path: Path) -> tuple[Intrinsics, Matrix]:
    """The camera of a projection, and its place as a pose: P x = K (x + K^-1 p), with p its last column.

    All cameras are rectified to one frame, so that one that lies 6 cm to the right is a move of 6 cm.
    """
    (fx, skew, cx), (zero, fy, cy), last = projection[:, :3].tolist()
    is_pinhole = skew == zero == 0 and last == [0, 0, 1] and fx > 0 and fy > 0
    if not (is_pinhole and np.isfinite(projection).all()):
        raise unreadable(path, f"has {name} {projection.tolist()}", "the projection of a rectified camera")
    pose = np.eye(4)
    pose[:3, 3] = np.linalg.solve(projection[:, :3], projection[:, 3])
    return Intrinsics(fx, fy, cx, cy), pose
