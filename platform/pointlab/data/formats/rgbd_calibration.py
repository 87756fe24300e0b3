"""Where the two cameras of an RGB-D recording are and how they see: files of intrinsics and transforms."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from jaxtyping import Float64

from pointlab.data.formats.files import read_lines, require_file
from pointlab.data.formats.number_files import parse_numbers
from pointlab.data.formats.parsing import parsing, unreadable
from pointlab.errors import DataError
from pointlab.geometry.cameras import Pinhole

CALIBRATION, INTRINSICS = "calib.json", "camera-intrinsics.txt"
MILLIMETRE = 0.001
ROTATION_TOLERANCE = 1e-2
"""By which a rotation times its transpose may miss the identity: poses are written in few digits."""

Matrix = Float64[np.ndarray, "4 4"]


@dataclass(frozen=True)
class Intrinsics:
    """A camera as files give it; `size` (width, height) is None where they do not."""

    fx: float
    fy: float
    cx: float
    cy: float
    size: tuple[int, int] | None = None

    def pinhole(self, size: tuple[int, int], picture: Path) -> Pinhole:
        """The camera of a picture of this size; DataError where it was calibrated for another."""
        if self.size not in (None, size):
            raise DataError(
                f"{picture} has {size[0]} by {size[1]} pixels.",
                expected=f"{self.size}, for which the camera is calibrated",
                remedy="use the pictures as they were recorded, or correct the calibration",
            )
        return Pinhole(*size, self.fx, self.fy, self.cx, self.cy)


@dataclass(frozen=True)
class Calibration:
    """The cameras of a recording; `unit` is the length of a depth count in metres.

    `body_from_depth` leads to the frame whose poses are recorded, where it is not the depth camera's own.
    """

    depth: Intrinsics
    colour: Intrinsics
    colour_from_depth: Matrix = field(default_factory=lambda: np.eye(4))
    body_from_depth: Matrix = field(default_factory=lambda: np.eye(4))
    unit: float = MILLIMETRE
    files: tuple[Path, ...] = ()


def find_calibration(sequence: Path, root: Path) -> Calibration | None:
    """From calib.json, else camera-intrinsics.txt, of the folder or the nearest above it up to the root.

    With the latter, one camera: colour is taken to be registered to depth.
    """
    for folder in (sequence, *sequence.parents):
        for name, read in ((CALIBRATION, _read_json), (INTRINSICS, _read_shared)):
            if (folder / name).is_file():
                return read(folder / name)
        if folder == root:
            return None
    return None


def read_intrinsics(path: Path) -> Intrinsics:
    """Intrinsics in a text file of a 3x3 or 4x4 matrix."""
    matrix = read_numbers(path)
    if matrix.shape not in ((3, 3), (4, 4)):
        raise unreadable(path, f"holds an array of shape {matrix.shape}", "a 3x3 or 4x4 matrix of intrinsics")
    return _intrinsics(path, [float(matrix[place]) for place in ((0, 0), (1, 1), (0, 2), (1, 2))])


def _intrinsics(path: Path, numbers: Sequence[float], size: tuple[int, int] | None = None) -> Intrinsics:
    fx, fy, cx, cy = numbers
    if not (np.isfinite([fx, fy, cx, cy]).all() and fx > 0 and fy > 0):
        found = f"has focal lengths {fx}, {fy} and centre {cx}, {cy}"
        raise unreadable(path, found, "a pinhole camera in pixels, with finite numbers")
    return Intrinsics(fx, fy, cx, cy, size)


def read_numbers(path: Path) -> Float64[np.ndarray, "rows columns"]:
    """The numbers of a text file as they stand in rows and columns."""
    return parse_numbers(read_lines(path), path)


def require_rigid(matrix: Float64[np.ndarray, "..."], path: Path) -> Matrix:
    """`matrix`, which turns and moves; DataError for one that is not finite, or stretches or mirrors."""
    what = "a 4x4 matrix that turns and moves, with a last row of 0 0 0 1"
    if matrix.shape != (4, 4):
        raise unreadable(path, f"holds an array of shape {matrix.shape}", what)
    if not np.isfinite(matrix).all():
        raise unreadable(path, "has numbers that are NaN or infinite", what)
    rotation = matrix[:3, :3]
    is_rotation = np.abs(rotation @ rotation.T - np.eye(3)).max() < ROTATION_TOLERANCE
    if not (is_rotation and np.linalg.det(rotation) > 0 and np.allclose(matrix[3], [0, 0, 0, 1])):
        raise unreadable(path, "holds a matrix that stretches, mirrors or projects", what)
    return matrix


def _read_shared(path: Path) -> Calibration:
    camera = read_intrinsics(path)
    return Calibration(camera, camera, files=(path,))


def _read_json(path: Path) -> Calibration:
    """Two cameras: depth_intrinsics, color_intrinsics (fx fy cx cy w h), depth_to_color, depth_unit_m."""
    with parsing(path, "a calibration in JSON"):
        content = json.loads(require_file(path).read_text(encoding="utf-8"))
        depth, colour = (
            _intrinsics(
                path,
                [float(entry[key]) for key in ("fx", "fy", "cx", "cy")],
                size=(int(entry["w"]), int(entry["h"])),
            )
            for entry in (content["depth_intrinsics"], content["color_intrinsics"])
        )
        transform = np.array(content["depth_to_color"], dtype=np.float64)
        unit = float(content["depth_unit_m"])
    if not 0 < unit < np.inf:
        raise unreadable(path, f"has depth counts of {unit} metres", "a calibration with a positive unit")
    return Calibration(depth, colour, require_rigid(transform, path), unit=unit, files=(path,))
