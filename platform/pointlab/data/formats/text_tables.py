"""Text files with a point a line and a known number of columns."""

from collections.abc import Collection
from pathlib import Path

import numpy as np
from jaxtyping import Float32

from pointlab.data.formats.files import read_lines
from pointlab.data.formats.modelnet import require_points
from pointlab.data.formats.number_files import parse_numbers
from pointlab.errors import DataError


def read_table(
    path: Path, widths: Collection[int], columns: str, num_points: int | None = None
) -> Float32[np.ndarray, "points width"]:
    """The first `num_points` rows, or all, each of one of `widths` numbers; `columns` names them."""
    lines = read_lines(path)
    values = parse_numbers(lines[: require_points(path, len(lines), num_points)], path)
    num_comments = min(len(lines), num_points or len(lines)) - len(values)
    if values.shape[1] not in widths or num_comments:
        found = f"{num_comments} comments" if num_comments else f"rows of {values.shape[1]} numbers"
        raise DataError(
            f"{path} has {found}.",
            expected=f"only rows of {' or '.join(map(str, widths))} numbers, {columns}",
            remedy="write it anew, or unpack this file from the release again",
        )
    return values.astype(np.float32)
