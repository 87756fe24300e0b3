"""Clouds in the formats of scanners: PCD (pypcd4), LAS and LAZ (laspy).

The libraries read cut files without a word where the cut falls between two points; so the announced numbers
are compared here.
"""

import logging
from pathlib import Path

import laspy
import numpy as np
from jaxtyping import Shaped
from pypcd4.pypcd4 import PointCloud

from pointlab.data.formats.number_files import Fields
from pointlab.data.formats.parsing import parsing, unreadable

logger = logging.getLogger(__name__)


def read_pcd(path: Path) -> Fields:
    """Fields of a PCD file, ASCII, binary or compressed; points without a measurement (NaN) are left out.

    PCD keeps the grid of the sensor, and marks its empty cells with NaN (Point Cloud Library, "The PCD file
    format"). How many there were is logged.
    """
    with parsing(path, "a PCD file"):
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


def _unpack_colours(packed: Shaped[np.ndarray, " points"]) -> dict[str, Shaped[np.ndarray, " points"]]:
    """Red, green and blue of 32 bits that hold (alpha,) red, green and blue, as PCL packs them."""
    bits = packed.view(np.uint32) if packed.dtype.kind == "f" else packed.astype(np.uint32)
    return {
        name: ((bits >> shift) & 255).astype(np.uint8)
        for name, shift in (("red", 16), ("green", 8), ("blue", 0))
    }


def read_las(path: Path) -> Fields:
    """Coordinates (scale and offset applied), colours and classification of a LAS or LAZ file."""
    with parsing(path, "a LAS or LAZ file"):
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
