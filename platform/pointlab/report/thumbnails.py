"""Clouds to see at a glance: a cloud as a small drawing, seen from where the 3D scene's camera starts.

A drawing is a few SVG paths whose every point is a line of no length with round ends; far points are
smaller and paler, which is what makes it look solid. It needs no script, and it prints.
"""

import numpy as np
from jaxtyping import Float64
from markupsafe import Markup, escape

from pointlab.report.scenes import OBJECT
from pointlab.report.views import View

SIZE = 120
BANDS = ((2.0, 0.35), (2.6, 0.6), (3.2, 0.95))
"""Width and opacity of a point's dot, from the farthest third of the cloud to the nearest."""


def thumbnail(view: View, description: str) -> Markup:
    """An SVG drawing of the cloud; `description` is what a screen reader says of it."""
    across, up, towards = _project(view.points.astype(np.float64)).T
    columns = (SIZE / 2 * (1 + 0.95 * across)).round().astype(int)
    rows = (SIZE / 2 * (1 - 0.95 * up)).round().astype(int)
    bands = np.digitize(towards, np.quantile(towards, [1 / 3, 2 / 3]))
    paths = [
        _path(columns[chosen], rows[chosen], view.colours[shade], *BANDS[band])
        for band in range(len(BANDS))
        for shade in np.unique(view.shades)
        if (chosen := (bands == band) & (view.shades == shade)).any()
    ]
    return Markup('<svg viewBox="0 0 {0} {0}" role="img" aria-label="{1}">{2}</svg>').format(
        SIZE, description, Markup("").join(paths)
    )


def _project(points: Float64[np.ndarray, "points 3"]) -> Float64[np.ndarray, "points 3"]:
    """Coordinates across the picture, up it, and towards the eye."""
    towards = np.array(OBJECT) / np.linalg.norm(OBJECT)
    across = np.cross([0.0, 1.0, 0.0], towards)
    across /= np.linalg.norm(across)
    seen: np.ndarray = points @ np.stack([across, np.cross(towards, across), towards]).T
    return seen


def _path(columns: np.ndarray, rows: np.ndarray, colour: str, width: float, opacity: float) -> Markup:
    dots = "".join(f"M{column} {row}h0" for column, row in zip(columns, rows, strict=True))
    return Markup('<path stroke="{}" stroke-width="{}" opacity="{}" d="{}"/>').format(
        escape(colour), width, opacity, dots
    )
