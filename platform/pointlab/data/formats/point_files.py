"""Clouds in the formats of scanners: PCD (pypcd4), LAS and LAZ (laspy).

The libraries read cut files without a word where the cut falls between two points; so the announced numbers
are compared here.
"""

import logging
import struct
from itertools import islice
from pathlib import Path

import laspy
import numpy as np
from jaxtyping import Shaped
from pypcd4.pypcd4 import Encoding, MetaData, PointCloud

from pointlab.data.formats.number_files import Fields
from pointlab.data.formats.parsing import parsing, unreadable

logger = logging.getLogger(__name__)
LZF_RATIO = 132
"""Bytes that one byte of PCD's compression stands for at most: 264 by two."""
LAZ_RATIO = 1000
"""Points that a byte of LAZ stands for at most: ten real ones take some thirty bytes."""
LAS_HEADER = struct.Struct("<94xHIIBHI")
"""Sizes of the header and of all before the points; records; kind, size and number of the points."""
LAS_VERSION, LAS_MORE = 24, struct.Struct("<243xIQ")
"""Where the version is; from 1.4 on, the numbers of records behind the points and of points."""
LAS_RECORD, LAS_COMPRESSED = 54, 0x80
"""Least bytes of a record before the points; the bit in the kind of the points that says LAZ."""


def read_pcd(path: Path) -> Fields:
    """Fields of a PCD file, ASCII, binary or compressed; points without a measurement (NaN) are left out.

    PCD keeps the grid of the sensor, and marks its empty cells with NaN (Point Cloud Library, "The PCD file
    format"). How many there were is logged.
    """
    with parsing(path, "a PCD file"):
        _require_room_for_pcd(path)
        cloud = PointCloud.from_path(path)
    table, announced = cloud.pc_data.reshape(-1), cloud.metadata.points
    if len(table) != announced or cloud.metadata.width * cloud.metadata.height != announced:
        found = f"announces {announced} points, a grid of {cloud.metadata.width} by"
        raise unreadable(path, f"{found} {cloud.metadata.height}, and has {len(table)} points", "a PCD file")
    fields = {name: table[name] for name in table.dtype.names or ()}
    if "rgb" in fields or "rgba" in fields:
        fields |= _unpack_colours(fields.pop("rgb") if "rgb" in fields else fields.pop("rgba"))
    is_empty = np.isnan([fields.get(axis, np.zeros(len(table))) for axis in "xyz"]).all(axis=0)
    if is_empty.any():
        logger.info("%s: %d of %d cells are empty", path, is_empty.sum(), len(table))
    return {name: values[~is_empty] for name, values in fields.items()}


def _require_room_for_pcd(path: Path) -> None:
    """ValueError where the header announces more than the file can hold, before room is made for it."""
    with path.open("rb") as stream:
        lines = [
            line.decode("latin-1").strip() for line in islice(iter(lambda: stream.readline(4096), b""), 100)
        ]
    end = next((number for number, line in enumerate(lines) if line.startswith("DATA")), len(lines))
    header = MetaData.parse_header(lines[: end + 1])
    least = {Encoding.ASCII: 2 * sum(header.count)}  # a digit and a blank
    stored = sum(size * count for size, count in zip(header.size, header.count, strict=True))
    ratio = LZF_RATIO if header.data not in (Encoding.ASCII, Encoding.BINARY) else 1
    if max(header.points, 1) * least.get(header.data, stored) > ratio * path.stat().st_size:
        raise ValueError(f"it announces {header.points} points, for which it is too short")


def _unpack_colours(packed: Shaped[np.ndarray, " points"]) -> dict[str, Shaped[np.ndarray, " points"]]:
    """Red, green and blue of 32 bits that hold (alpha,) red, green and blue, as PCL packs them."""
    bits = packed.view(np.uint32) if packed.dtype.kind == "f" else packed.astype(np.uint32)
    return {
        name: ((bits >> shift) & 255).astype(np.uint8)
        for name, shift in (("red", 16), ("green", 8), ("blue", 0))
    }


def _require_room_for_las(path: Path) -> None:
    """An error where the header announces more than the file can hold, before room is made for it."""
    size = path.stat().st_size
    with path.open("rb") as stream:
        start = stream.read(LAS_MORE.size)
    if len(start) < LAS_HEADER.size:
        return  # which is too short for laspy too
    _, begin, num_records, kind, point_size, num_points = LAS_HEADER.unpack_from(start)
    if tuple(start[LAS_VERSION : LAS_VERSION + 2]) >= (1, 4) and len(start) == LAS_MORE.size:
        num_behind, num_points = LAS_MORE.unpack(start)
        num_records += num_behind
    if num_records * LAS_RECORD > size:
        raise ValueError(f"it announces {num_records} records, for which it is too short")
    room = (size - begin) * LAZ_RATIO if kind & LAS_COMPRESSED else (size - begin) // max(point_size, 1)
    if num_points > room:
        found = f"announces {num_points} points and has {'less' if kind & LAS_COMPRESSED else max(room, 0)}"
        raise unreadable(path, found, "a LAS or LAZ file")


def read_las(path: Path) -> Fields:
    """Coordinates (scale and offset applied), colours and classification of a LAS or LAZ file."""
    with parsing(path, "a LAS or LAZ file"):
        _require_room_for_las(path)
        las = laspy.read(path)
        table, announced = las.points, las.header.point_count
        if len(table) != announced:
            found = f"announces {announced} points and has {len(table)}"
            raise unreadable(path, found, "a LAS or LAZ file")
        names = set(las.point_format.dimension_names)
        fields = {axis: np.asarray(las[axis], dtype=np.float64) for axis in "xyz"}
        others = ({"red", "green", "blue"}, {"classification"})
        return fields | {
            name: np.asarray(las[name]) for wanted in others if wanted <= names for name in wanted
        }
