"""S3DIS: rooms of six areas of buildings, scanned, with colours and a class for each point; z up, metres.

    form raw   Stanford3dDataset_v1.2: Area_<a>/<room>/Annotations/<class>_<n>.txt, rows of x y z r g b
    form npy   what PointNet made of it: Area_<a>_<room>.npy, [points, 7] of x y z r g b and the class

A room is a cloud. The room `hallway_6` of area 5 has a control character where a blank should be (in v1.2);
it is read as one, counted in the index and logged.
"""

import logging
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import numpy as np
from jaxtyping import Shaped
from pydantic import Field

from pointlab.data.catalogue.scenes import S3DIS, STRAY_CHARACTER
from pointlab.data.formats.axes import to_y_up
from pointlab.data.formats.cloud_fields import to_float32, unit_colours, whole_labels
from pointlab.data.formats.files import require_file, require_root
from pointlab.data.formats.npy import open_npy
from pointlab.data.formats.number_files import parse_numbers
from pointlab.data.sample import Cloud
from pointlab.data.source import Source, SourceIndex, SourceRow, Split
from pointlab.errors import DataError

logger = logging.getLogger(__name__)
CLASSES = (
    *("ceiling", "floor", "wall", "beam", "column", "window", "door"),
    *("table", "chair", "sofa", "bookcase", "board", "clutter"),
)
CLUTTER_TOO = "stairs"
"""A class of the raw release that the thirteen do not have; PointNet counts it as clutter."""
SPOILT_FILE = "Area_5/hallway_6/Annotations/ceiling_1.txt"
NPY_NAME = re.compile(r"Area_(\d)_(\w+)\.npy")
AREA_NAME = re.compile(r"Area_(\d)")
ANNOTATION_NAME = re.compile(r"([a-z]+)_\d+\.txt")
CONTROL = {code: " " for code in range(32) if chr(code) not in "\t\n\r"}
XYZ_RGB, XYZ_RGB_LABEL = 6, 7
"""Columns of the two forms."""


class S3dis(Source):
    """Whole rooms with colours and the thirteen classes as point labels."""

    kind: Literal["s3dis"] = "s3dis"
    form: Literal["npy", "raw"] = "npy"
    """npy, as the code of most papers leaves it."""
    test_area: int = Field(default=5, ge=1, le=6)
    """The area of the test split: 5, which shares no building with the others."""

    def index(self, root: Path | None) -> SourceIndex:
        """Rows of all rooms, by names; of the raw release the one spoilt file is looked into."""
        folder = require_root(root, self.kind)
        rooms = _npy_rooms(folder) if self.form == "npy" else _raw_rooms(folder)
        if not rooms:
            expected = "Area_1_office_1.npy" if self.form == "npy" else "Area_1/office_1/Annotations"
            raise DataError(
                f"{folder} holds no rooms of the form {self.form!r}.",
                expected=f"names such as {expected}",
                remedy="check `root` and `form`",
            )
        rows = []
        for (area, room), files in rooms.items():
            split: Split = "test" if area == self.test_area else "train"
            file = files[0] if self.form == "npy" else f"Area_{area}/{room}/Annotations"
            rows.append(SourceRow(file, 0, split, None, group=f"Area_{area}/{room}"))
        return SourceIndex(
            class_names=(),
            rows=tuple(rows),
            files=tuple(file for files in rooms.values() for file in files),
            part_names=CLASSES,
            card=S3DIS,
            is_grouped=True,
            defects={STRAY_CHARACTER: 1} if self.form == "raw" and _is_spoilt(folder) else {},
        )

    def read(self, root: Path | None, rows: Sequence[SourceRow]) -> list[Cloud]:
        """The rooms of `rows`, in their order."""
        folder = require_root(root, self.kind)
        read_room = _read_npy if self.form == "npy" else _read_raw
        return [read_room(folder / row.file) for row in rows]


def _npy_rooms(folder: Path) -> dict[tuple[int, str], list[str]]:
    """The file of each room, by area and room."""
    matches = [NPY_NAME.fullmatch(path.name) for path in sorted(folder.glob("Area_*.npy"))]
    return {(int(match[1]), match[2]): [match[0]] for match in matches if match}


def _raw_rooms(folder: Path) -> dict[tuple[int, str], list[str]]:
    """The annotation files of each room, by area and room; DataError for a room without any."""
    rooms = {}
    for area in sorted(path for path in folder.glob("Area_*") if AREA_NAME.fullmatch(path.name)):
        for room in sorted(path for path in area.iterdir() if path.is_dir()):
            files = _annotations(room / "Annotations")
            rooms[int(area.name[-1]), room.name] = [path.relative_to(folder).as_posix() for path in files]
    return rooms


def _annotations(folder: Path) -> list[Path]:
    """The files of a room, one an object; DataError without any, or for one of an unknown class."""
    files = sorted(path for path in folder.glob("*.txt") if not path.name.startswith("."))
    if not files:
        raise DataError(
            f"{folder} holds no annotations.",
            expected="files such as chair_1.txt",
            remedy="unpack the release again, or take this room out",
        )
    for path in files:
        _class_of(path)
    return files


def _class_of(path: Path) -> int:
    """Number of the class that an annotation file is called by."""
    match = ANNOTATION_NAME.fullmatch(path.name)
    name = match[1].replace(CLUTTER_TOO, "clutter") if match else ""
    if name not in CLASSES:
        raise DataError(
            f"{path} is called after none of the classes.",
            expected=f"<class>_<number>.txt, with one of {', '.join(CLASSES)} or {CLUTTER_TOO}",
            remedy="take the file out: copies such as 'wall_3 (1).txt' are in some unpacked releases",
        )
    return CLASSES.index(name)


def _is_spoilt(folder: Path) -> bool:
    path = folder / SPOILT_FILE
    return path.is_file() and _repair(path.read_text(encoding="latin-1"))[1] > 0


def _repair(text: str) -> tuple[str, int]:
    """The text with blanks for control characters, and how many there were."""
    repaired = text.translate(CONTROL)
    return repaired, sum(text.count(chr(code)) for code in CONTROL)


def _read_raw(folder: Path) -> Cloud:
    tables, labels = [], []
    for path in _annotations(folder):
        tables.append(_read_annotation(path))
        labels.append(np.full(len(tables[-1]), _class_of(path)))
    return _room(np.concatenate(tables), np.concatenate(labels), folder)


def _read_annotation(path: Path) -> Shaped[np.ndarray, "points 6"]:
    """Rows of x y z r g b; the one defect that is known is mended, any other is a DataError."""
    text = require_file(path).read_text(encoding="latin-1")
    if path.as_posix().endswith(SPOILT_FILE):
        text, num_strays = _repair(text)
        if num_strays:
            logger.warning("%s: %d control characters read as blanks (%s)", path, num_strays, STRAY_CHARACTER)
    table = parse_numbers([line for line in text.splitlines() if line.strip()], path)
    return _require_columns(table, XYZ_RGB, path)


def _read_npy(path: Path) -> Cloud:
    table = _require_columns(open_npy(path), XYZ_RGB_LABEL, path)
    return _room(table[:, :6], table[:, 6], path)


def _require_columns(
    table: Shaped[np.ndarray, "..."], width: int, path: Path
) -> Shaped[np.ndarray, "points columns"]:
    if table.ndim != 2 or table.shape[1] != width or table.dtype.kind not in "fiu":
        names = ["x", "y", "z", "r", "g", "b", "label"][:width]
        raise DataError(
            f"{path} holds an array of shape {table.shape} and type {table.dtype}.",
            expected=f"rows of {width} numbers: {' '.join(names)}",
            remedy="check `form`, or make this file anew",
        )
    return table


def _room(table: Shaped[np.ndarray, "points 6"], labels: Shaped[np.ndarray, " points"], path: Path) -> Cloud:
    """The y-up cloud of a room; DataError for a colour that is no byte, or a label that is no class."""
    classes = whole_labels(labels, path)
    if len(classes) and not 0 <= classes.min() <= classes.max() < len(CLASSES):
        raise DataError(
            f"{path} has labels from {classes.min()} to {classes.max()}.",
            expected=f"0 to {len(CLASSES) - 1}, the classes from {CLASSES[0]} to {CLASSES[-1]}",
            remedy="make this file anew with these classes",
        )
    return Cloud(
        to_y_up(to_float32(table[:, :3], path), "z"),
        # as bytes: a dark room must not pass for one whose colours are fractions
        colours=unit_colours(_whole_bytes(table[:, 3:], path), path),
        point_labels=classes,
    )


def _whole_bytes(colours: Shaped[np.ndarray, "points 3"], path: Path) -> Shaped[np.ndarray, "points 3"]:
    """Colours as bytes; DataError for other numbers."""
    if not ((colours >= 0) & (colours <= 255) & (colours == np.round(colours))).all():
        raise DataError(
            f"{path} has colours that are not whole numbers from 0 to 255.",
            expected="red, green and blue as bytes",
            remedy="check `form`, or make this file anew",
        )
    return colours.astype(np.uint8)
