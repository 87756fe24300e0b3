"""SemanticKITTI's labels: a uint32 for each point, whose lower half is a class and upper half an object.

Of its 28 classes nineteen are evaluated on single scans, moving and still things together: the format is
told on semantic-kitti.org/dataset.html, the classes in `config/semantic-kitti.yaml` of its development kit.
"""

from pathlib import Path

import numpy as np
from jaxtyping import Int64

from pointlab.data.formats.parsing import parsing, unreadable

CLASSES: dict[str, tuple[int, ...]] = {
    "car": (10, 252),
    "bicycle": (11,),
    "motorcycle": (15,),
    "truck": (18, 258),
    "other-vehicle": (13, 16, 20, 256, 257, 259),
    "person": (30, 254),
    "bicyclist": (31, 253),
    "motorcyclist": (32, 255),
    "road": (40, 60),
    "parking": (44,),
    "sidewalk": (48,),
    "other-ground": (49,),
    "building": (50,),
    "fence": (51,),
    "vegetation": (70,),
    "trunk": (71,),
    "terrain": (72,),
    "pole": (80,),
    "traffic-sign": (81,),
}
"""Name -> the numbers that files have for it."""
UNEVALUATED = (0, 1, 52, 99)
"""Unlabelled points, outliers, other structures and other objects."""
UNLABELLED = -1
UNKNOWN = -2


def read_labels(path: Path, num_points: int) -> Int64[np.ndarray, " points"]:
    """Place in `CLASSES` of the class of every point, `UNLABELLED` for those that are not evaluated.

    Raises DataError for a file that is not of `num_points` labels, or has a class that there is none of.
    """
    with parsing(path, "a file of labels"):
        content = path.read_bytes()
    if len(content) != 4 * num_points:
        raise unreadable(path, f"has {len(content)} bytes", f"{num_points} labels of 4 bytes, one a point")
    numbers = np.frombuffer(content, "<u4") & 0xFFFF
    classes: Int64[np.ndarray, " points"] = _table()[numbers]
    unknown = np.unique(numbers[classes == UNKNOWN])
    if len(unknown):
        raise unreadable(path, f"has the label {unknown[0]}", "the 34 labels of SemanticKITTI")
    return classes


def _table() -> Int64[np.ndarray, " numbers"]:
    """Class by number."""
    table = np.full(1 << 16, UNKNOWN)
    table[list(UNEVALUATED)] = UNLABELLED
    for place, numbers in enumerate(CLASSES.values()):
        table[list(numbers)] = place
    return table
