"""Clouds that are mere tables of numbers: npy, npz and text (xyz, txt).

What the columns mean is not written in such files. Three are coordinates; six and seven are told apart by
their values where these leave no doubt; anything else has to be said (`columns`).
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

import numpy as np
from jaxtyping import Float64, Shaped

from pointlab.data.formats.files import read_lines
from pointlab.data.formats.npy import open_npy
from pointlab.data.formats.parsing import parsing, unreadable
from pointlab.data.formats.zipped_arrays import require_whole_arrays
from pointlab.errors import DataError

Fields = Mapping[str, Shaped[np.ndarray, "..."]]
Column = Literal["x", "y", "z", "nx", "ny", "nz", "red", "green", "blue", "label", "_"]
"""What a column holds; `_` is not read."""
SKIPPED: Column = "_"
XYZ: tuple[Column, ...] = ("x", "y", "z")
NORMAL: tuple[Column, ...] = ("nx", "ny", "nz")
COLOUR: tuple[Column, ...] = ("red", "green", "blue")
LABEL: tuple[Column, ...] = ("label",)
COMMENTS = ("#", "//")
SEPARATORS = ";\t,"
"""Looked for in this order: with semicolons or tabs, a comma can only be a decimal one, which is an error."""
NPZ_NAMES: dict[str, tuple[Column, ...]] = {
    **dict.fromkeys(("points", "xyz", "pos", "coord", "coords", "vertices"), XYZ),
    **dict.fromkeys(("normals", "normal"), NORMAL),
    **dict.fromkeys(("colours", "colors", "color", "rgb"), COLOUR),
    **dict.fromkeys(("point_labels", "labels", "label", "semantic", "segment"), LABEL),
}
"""Columns of the arrays of an npz file by their names, which are in use in many data sets."""
UNIT_TOLERANCE = 1e-2
"""By which lengths of normals may miss 1: that of rounding to two decimals."""


def read_npy(path: Path, columns: Sequence[Column] | None = None) -> Fields:
    """Fields of the table in an npy file; pickled objects are refused."""
    array = open_npy(path)
    if array.dtype.names:
        return {name: array[name] for name in array.dtype.names}
    return name_columns(array, path, columns)


def read_npz(path: Path, columns: Sequence[Column] | None = None) -> Fields:
    """Fields of the arrays in an npz file, by the arrays' names; a lone array is read as in an npy file."""
    with parsing(path, "an npz file"), np.load(path, allow_pickle=False) as archive:
        require_whole_arrays(archive.zip)
        arrays = {name: archive[name] for name in archive.files}
    if len(arrays) == 1 and not set(arrays) & set(NPZ_NAMES):
        return name_columns(next(iter(arrays.values())), path, columns)
    fields: dict[str, Shaped[np.ndarray, "..."]] = {}
    for name, array in arrays.items():
        names = NPZ_NAMES.get(name.lower(), ())
        if names:
            table = array.reshape(-1, 1) if array.ndim == 1 else array
            fields.update(name_columns(table, path, names))
    if not set(XYZ) <= set(fields):
        raise DataError(
            f"{path} has arrays {sorted(arrays)}.",
            expected=f"one array, or one of the points, such as {'points'!r}",
            remedy="save the coordinates under that name",
        )
    if len({len(values) for values in fields.values()}) > 1:
        raise unreadable(path, "has arrays of different lengths", "an npz file with one row a point")
    return fields


def read_text(path: Path, columns: Sequence[Column] | None = None) -> Fields:
    """Fields of a text file with a point a line."""
    return name_columns(parse_numbers(read_lines(path), path), path, columns)


def parse_numbers(lines: Sequence[str], path: Path) -> Float64[np.ndarray, "rows columns"]:
    """The table of numbers in `lines`, separated by semicolons, tabs, commas or blanks; DataError otherwise.

    Lines that begin with # or // are comments.
    """
    rows = [line for line in lines if not line.startswith(COMMENTS)]
    if not rows:
        raise unreadable(path, "has only comments", "a text file with a point a line")
    separator = next((mark for mark in SEPARATORS if mark in rows[0]), None)
    try:
        return np.loadtxt(rows, dtype=np.float64, delimiter=separator, comments=None, ndmin=2)
    except ValueError as error:
        raise DataError(
            f"{path} cannot be read: {_explain(rows) or str(error).partition(';')[0]}.",
            expected="rows of equally many numbers, all separated alike by commas, semicolons, tabs or"
            " blanks, with points in decimals",
            remedy="export the file anew without a header, or take it out",
        ) from None


def _explain(rows: Sequence[str]) -> str:
    """Why `rows` are no table, in words, for two kinds of files that other programs read; else nothing."""
    commented = next((number for number, row in enumerate(rows) if "#" in row), None)
    if commented is not None:
        return f"it has a comment behind numbers or words, at row {commented}: {rows[commented][:60]!r}"
    if rows[0].isdecimal() and any(row[0].isalpha() for row in rows[1:3]):
        return "it is a list of atoms: their number, a title, then a symbol and a position of each"
    return ""


def name_columns(
    table: Shaped[np.ndarray, "..."], path: Path, columns: Sequence[Column] | None = None
) -> Fields:
    """The columns of `table` by name; without `columns`, what they are is told from number and values."""
    if table.dtype.kind not in "fiu" or table.ndim != 2:
        raise DataError(
            f"{path} holds an array of shape {table.shape} and type {table.dtype}.",
            expected="a row of real numbers for each point",
            remedy="save the cloud as an array [points, columns]",
        )
    names = tuple(columns) if columns else _guess(table, path)
    if len(names) != table.shape[1]:
        raise DataError(
            f"{path} has rows of {table.shape[1]} numbers.",
            expected=f"{len(names)} numbers: {', '.join(names)}",
            remedy="check `columns`, or take the file out",
        )
    return {name: table[:, place] for place, name in enumerate(names) if name != SKIPPED}


def _guess(table: Shaped[np.ndarray, "points columns"], path: Path) -> tuple[Column, ...]:
    """Names of three, six or seven columns; DataError where that is not clear."""
    width = table.shape[1]
    if width == 3:
        return XYZ
    if width in (6, 7):
        middle = table[:, 3:6].astype(np.float64)
        kind = NORMAL if _are_unit(middle) else COLOUR if _are_colours(middle) else ()
        if kind and _leave_no_doubt(middle):
            return (*XYZ, *kind, *LABEL)[:width]
    raise DataError(
        f"{path} has rows of {width} numbers, whose meaning is not clear.",
        expected="3 (x y z), 6 or 7 (x y z, then a unit normal or a colour, then a label)",
        remedy=f"say what they are with `columns`, such as [x, y, z, {SKIPPED}] to skip the fourth",
    )


def _leave_no_doubt(values: Float64[np.ndarray, "points 3"]) -> bool:
    """Whether some value is neither 0 nor 1: rows such as 1 0 0 are normals, or red, or black in bytes."""
    return bool(((values != 0) & (values != 1)).any())


def _are_unit(vectors: Float64[np.ndarray, "points 3"]) -> bool:
    return bool((np.abs(np.linalg.norm(vectors, axis=1) - 1) < UNIT_TOLERANCE).all())


def _are_colours(values: Float64[np.ndarray, "points 3"]) -> bool:
    """Whether all lie in 0 to 1, or are whole numbers in 0 to 255."""
    if not (values >= 0).all():
        return False
    return bool((values <= 1).all() or ((values <= 255) & (values == np.round(values))).all())
