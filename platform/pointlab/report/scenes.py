"""Clouds to turn: one 3D scene for every set or draw, in which the reader picks the class.

A scene holds a trace per class and shows one of them; the page's script switches all scenes together and
turns them together. One scene per set keeps the page within the WebGL contexts that browsers allow.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import plotly.graph_objects as go
from markupsafe import Markup

from pointlab.report.figures import FONT, embed, label
from pointlab.report.views import View

Eye = tuple[float, float, float]
OBJECT: Eye = (0.78, 0.52, 1.0)
"""Where the camera stands, in widths of the scene and y up: to the front right of it, a little above."""
ROOM: Eye = (0.75, 1.1, 0.8)
"""High above a room and beside it: from the height of an object's camera its walls hide what it holds."""


def scene(views: Sequence[View | None], number: int | str, eye: Eye = OBJECT) -> Markup:
    """The scene of one cloud per class, with the first class visible; `number` is its own on the page."""
    figure = go.Figure([_trace(view, is_visible=i == 0) for i, view in enumerate(views)])
    hidden = {"visible": False, "range": [-1, 1]}
    x, y, z = _upright(eye)
    figure.update_layout(
        template="none",
        paper_bgcolor="rgba(0,0,0,0)",
        font={"family": FONT, "size": 13},
        margin={"l": 0, "r": 0, "t": 0, "b": 0},
        height=330,
        showlegend=False,
        scene={
            "xaxis": hidden,
            "yaxis": hidden,
            "zaxis": hidden,
            "aspectmode": "cube",
            "dragmode": "turntable",
            "camera": {"eye": {"x": x, "y": y, "z": z}},
        },
    )
    return embed(figure, f"scene-{number}")


def _upright(xyz: Sequence[Any]) -> tuple[Any, Any, Any]:
    """y-up coordinates as plotly's, whose turntable knows one vertical only: z. Handedness stays."""
    x, y, z = xyz
    return z, x, y


def _trace(view: View | None, *, is_visible: bool) -> Any:
    if view is None:
        return go.Scatter3d(x=[], y=[], z=[], visible=is_visible)
    steps = np.linspace(0, 1, len(view.colours) + 1)
    scale = [[edge, c] for c, *edges in zip(view.colours, steps, steps[1:], strict=False) for edge in edges]
    marker = {"color": view.shades.astype(np.int8), "colorscale": scale, "size": 3.2}
    names = [label(view.parts[shade].rpartition("/")[2]) for shade in view.shades] if view.parts else None
    x, y, z = _upright(list(view.points.T))
    return go.Scatter3d(
        x=x.copy(),
        y=y.copy(),
        z=z.copy(),
        mode="markers",
        marker=marker | {"cmin": -0.5, "cmax": len(view.colours) - 0.5},
        text=names,
        hoverinfo="text" if names else "none",
        visible=is_visible,
    )
