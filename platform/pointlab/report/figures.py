"""The look of every plot: colours for the colour-blind, no background, the page's own font.

Text and grid lines take the page's colours from its style sheet, so that one plot suits a light page, a
dark one and paper; what is coloured here must show on all three.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

import numpy as np
import plotly.graph_objects as go
from markupsafe import Markup

TARGET, SHIFTED = "#2f7fc4", "#e07a1f"
TRAINING, VALIDATION = "#0f9d85", "#9a63c4"
CORRUPTED = TRAINING
CHOSEN, NEUTRAL = "#d6336c", "#88919d"
SERIES = (TARGET, SHIFTED, TRAINING, VALIDATION, CHOSEN, "#8c6d4f", "#4fb3e6", "#a8a117")
"""Of lines that have no colour of their own, such as starts and protocols."""
FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, sans-serif"
MAX_POINTS = 500
"""Points of a curve: about one for every pixel that a plot is wide."""
LOG_DECADES = 1.5
"""Values that span more than this are drawn on a logarithmic axis."""
SETTINGS = {"displaylogo": False, "displayModeBar": False, "responsive": True}


@dataclass(frozen=True)
class Picture:
    """One plot, its name, which is its own on the page, and the sentence below it."""

    figure: Any
    name: str
    caption: str

    @property
    def markup(self) -> Markup:
        """The plot as a page shows it."""
        return embed(self.figure, self.name)


def picture(
    name: str, traces: Sequence[Any], x: dict[str, Any], y: dict[str, Any], caption: str, **layout: Any
) -> Picture:
    """A plot of `traces` over two axes; `name` must be its own on the page."""
    figure = go.Figure(list(traces), layout={"template": "none"})
    axis = {"gridcolor": NEUTRAL, "zeroline": False, "showline": False, "ticklen": 4, "exponentformat": "e"}
    figure.update_layout(
        paper_bgcolor="rgba(0,0,0,0)",
        plot_bgcolor="rgba(0,0,0,0)",
        font={"family": FONT, "size": 13, "color": NEUTRAL},
        margin={"l": 74, "r": 14, "t": 34, "b": 48},
        height=360,
        hovermode="closest",
        legend={"orientation": "h", "yref": "container", "y": 1, "yanchor": "top", "x": 0, "xanchor": "left"},
        xaxis={**axis, "showgrid": False, **x},
        yaxis={**axis, **y},
    )
    figure.update_layout(**layout)
    figure.update_xaxes(title_font_size=13)
    figure.update_yaxes(title_font_size=13)
    return Picture(figure, name, caption)


def axis_type(values: Sequence[float | str]) -> str:
    """`category` for names, `log` for positive numbers over more than `LOG_DECADES`, else `linear`."""
    numbers = [value for value in values if not isinstance(value, str)]
    if len(numbers) < len(values) or not numbers:
        return "category"
    spans = min(numbers) > 0 and math.log10(max(numbers) / min(numbers)) > LOG_DECADES
    return "log" if spans else "linear"


def ring(xs: Sequence[float | str], ys: Sequence[float]) -> Any:
    """Rings around the points that were chosen."""
    line = {"color": CHOSEN, "width": 2.5}
    marker = {"symbol": "circle-open", "size": 16, "line": line, "color": CHOSEN}
    return go.Scatter(x=xs, y=ys, mode="markers", marker=marker, hoverinfo="skip", showlegend=False)


def faint(colour: str, opacity: float) -> str:
    """A colour such as #2f7fc4, so much of it, as plotly takes it."""
    red, green, blue = (int(colour[at : at + 2], 16) for at in (1, 3, 5))
    return f"rgba({red},{green},{blue},{opacity:g})"


def embed(figure: Any, name: str) -> Markup:
    """The plot as markup that needs plotly.js on the page; its data cannot end the script around it."""
    return Markup(
        figure.to_html(full_html=False, include_plotlyjs=False, div_id=name, config=SETTINGS, validate=True)
    )


def label(text: object) -> str:
    """A name as plotly shows it: plotly reads a little HTML in all text, which names must not use."""
    return escape(str(text))


def in_percent(values: Sequence[float]) -> list[float]:
    """Shares in [0, 1] as percentages, to a hundredth."""
    return [round(100 * value, 2) for value in values]


def thin(xs: Sequence[float], ys: Sequence[float]) -> tuple[list[float], list[float]]:
    """At most `MAX_POINTS` points of a curve, evenly spaced among all, with its first and last."""
    kept = np.unique(np.linspace(0, len(xs) - 1, min(len(xs), MAX_POINTS)).round().astype(int))
    return [round(xs[row], 4) for row in kept], [float(f"{ys[row]:.5g}") for row in kept]
