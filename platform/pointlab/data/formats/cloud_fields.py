"""From the named fields of a file's points to a `Cloud`: which names are read, and into which ranges."""

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Literal

import numpy as np
from jaxtyping import Float32, Float64, Int64, Shaped

from pointlab.data.sample import Cloud
from pointlab.errors import DataError

Shift = tuple[float, float, float]
PerPoint = Literal["normals", "colours", "point_labels"]
PER_POINT: tuple[PerPoint, ...] = ("normals", "colours", "point_labels")
"""What a cloud file may hold beside the points."""

NAMES: dict[str, tuple[tuple[str, ...], ...]] = {
    "points": (("x", "y", "z"),),
    "normals": (("nx", "ny", "nz"), ("normal_x", "normal_y", "normal_z")),
    "colours": (("red", "green", "blue"), ("r", "g", "b"), ("diffuse_red", "diffuse_green", "diffuse_blue")),
    "point_labels": (("label",), ("class",), ("classification",), ("scalar_label",)),
}
"""Names of the fields, in lower case, by which the formats call these arrays."""
FLOAT32_STEP = 2.0**-24
"""Largest relative error of rounding to float32."""
COARSE = 1e-4
"""Rounding errors up to this share of a cloud's size are harmless: a millimetre in ten metres."""


def cloud_from_fields(
    fields: Mapping[str, Shaped[np.ndarray, "..."]],
    path: Path,
    arrays: Collection[PerPoint] = PER_POINT,
    shift: Shift | None = None,
) -> Cloud:
    """The cloud of a file's fields, each an array over the points; optional `arrays` where they are there.

    `shift` is added to the coordinates before they are rounded to float32.
    Raises DataError without x, y and z, and for values that are no normals, colours or labels.
    """
    lower = {name.lower(): values for name, values in fields.items()}
    found = {array: _columns(lower, names) for array, names in NAMES.items()}
    if found["points"] is None:
        raise DataError(
            f"{path} has the fields {sorted(fields)}.",
            expected="fields x, y and z",
            remedy="export the file with coordinates",
        )
    normals, colours, labels = (found[name] if name in arrays else None for name in PER_POINT)
    return Cloud(
        to_float32(found["points"], path, shift),
        normals=None if normals is None else unit_normals(normals, path),
        colours=None if colours is None else unit_colours(colours, path),
        point_labels=None if labels is None else whole_labels(labels[:, 0], path),
    )


def _columns(
    fields: Mapping[str, Shaped[np.ndarray, "..."]], alternatives: tuple[tuple[str, ...], ...]
) -> Shaped[np.ndarray, "points channels"] | None:
    """The first alternative whose fields are all there, side by side."""
    for names in alternatives:
        if all(name in fields for name in names):
            return np.stack([np.asarray(fields[name]).reshape(-1) for name in names], axis=1)
    return None


def to_float32(
    points: Shaped[np.ndarray, "points 3"], path: Path, shift: Shift | None = None
) -> Float32[np.ndarray, "points 3"]:
    """Points in single precision, after `shift` is added; DataError where that costs detail.

    Map coordinates are such points. They are not moved unasked: an offset of each file's own would lose how
    the tiles of a set lie to each other.
    """
    if shift is not None:
        points = points.astype(np.float64) + np.array(shift)
    finite = points[np.isfinite(points).all(axis=1)]
    if points.dtype != np.float32 and len(finite):
        _require_detail(finite, path, shift)
    with np.errstate(over="ignore"):  # infinite then, which preparation reports
        return np.ascontiguousarray(points, dtype=np.float32)


def _require_detail(points: Shaped[np.ndarray, "points 3"], path: Path, shift: Shift | None) -> None:
    """DataError where float32 is too coarse for a cloud so far from the origin."""
    low, high = points.min(axis=0), points.max(axis=0)
    rounding = float(np.abs(points).max()) * FLOAT32_STEP
    if not rounding > COARSE * (high - low).max() > 0:
        return
    grid = 10.0 ** np.ceil(np.log10((high - low).max()))
    fitting = 0.0 - np.round(low / grid) * grid + (0.0 if shift is None else np.array(shift))
    raise DataError(
        f"{path} has coordinates from {low} to {high}, which float32 holds to {rounding:.2g} only.",
        expected="coordinates near the origin, compared with the size of the cloud",
        remedy="as a source of kind folder, set `shift` to what moves all its files there, such as"
        f" {fitting.tolist()}",
    )


def unit_normals(normals: Shaped[np.ndarray, "points 3"], path: Path) -> Float32[np.ndarray, "points 3"]:
    """Normals of length 1; DataError where one has no direction."""
    values: Float64[np.ndarray, "points 3"] = normals.astype(np.float64)
    lengths = np.linalg.norm(values, axis=1, keepdims=True)
    num_bad = int((~(np.isfinite(lengths) & (lengths > 0))).sum())
    if num_bad:
        raise DataError(
            f"{path} has {num_bad} normals without direction (zero, NaN or infinite).",
            expected="a direction for each of its points",
            remedy="estimate them again, or leave `normals` out of `arrays`",
        )
    return np.asarray(values / lengths, dtype=np.float32)


def unit_colours(colours: Shaped[np.ndarray, "points 3"], path: Path) -> Float32[np.ndarray, "points 3"]:
    """Colours in 0 to 1, from numbers up to 1, up to 255 or, if whole, up to 65,535."""
    low, high = colours.min(initial=0), colours.max(initial=0)
    limits = [1.0, 255.0] if colours.dtype.kind == "f" else [255.0, 65535.0]
    limit = next((limit for limit in limits if high <= limit), None)
    if limit is None or not low >= 0:
        raise DataError(
            f"{path} has colours from {low} to {high}.",
            expected="numbers from 0 to 1 or to 255, or whole ones to 65535",
            remedy="export the colours anew, or leave `colours` out of `arrays`",
        )
    return np.asarray(colours / limit, dtype=np.float32)


def whole_labels(labels: Shaped[np.ndarray, " points"], path: Path) -> Int64[np.ndarray, " points"]:
    """Labels of the points as integers, at least -1, which stands for none."""
    if not (np.isfinite(labels).all() and (labels == np.round(labels)).all() and labels.min(initial=0) >= -1):
        raise DataError(
            f"{path} has point labels that are not whole numbers from -1 on.",
            expected="numbers of the parts, from 0 on, and -1 for points of none",
            remedy="export the labels anew, or leave `point_labels` out of `arrays`",
        )
    return labels.astype(np.int64)
