"""A radar of accuracies under corruptions: an axis for each corruption, a closed line for each classifier."""

from collections.abc import Iterator, Mapping, Sequence
from statistics import fmean
from typing import Any

import plotly.graph_objects as go

from pointlab.report.figures import NEUTRAL, SERIES, Picture, faint, in_percent, label, picture

GRID = {"gridcolor": faint(NEUTRAL, 0.4), "linecolor": faint(NEUTRAL, 0.4)}
FEWEST = 3
"""Axes that span an area."""
Lines = Mapping[str, Sequence[Sequence[float]]]
"""For each classifier the accuracies of its seeds under every corruption."""


def radar(name: str, corruptions: Sequence[str], lines: Lines) -> Iterator[Picture]:
    """The radar, in several pictures where there are more classifiers than colours; none of few axes."""
    if len(corruptions) < FEWEST:
        return
    for first in range(0, len(lines), len(SERIES)):
        shown = list(lines.items())[first : first + len(SERIES)]
        traces = [
            _line(title, corruptions, values, colour)
            for (title, values), colour in zip(shown, SERIES, strict=False)
        ]
        yield picture(f"{name}-{first}", traces, {}, {}, _caption(lines), **_layout(len(shown)))


def _line(title: str, corruptions: Sequence[str], values: Sequence[Sequence[float]], colour: str) -> Any:
    known = [(each, fmean(found)) for each, found in zip(corruptions, values, strict=True) if found]
    closed = [*known, known[0]]
    return go.Scatterpolar(
        theta=[label(corruption.replace("_", " ")) for corruption, _ in closed],
        r=in_percent([accuracy for _, accuracy in closed]),
        name=label(title),
        mode="lines+markers",
        line={"color": colour, "width": 2},
        marker={"size": 5},
        hovertemplate="%{theta}: %{r:.1f} %<extra>" + label(title) + "</extra>",
    )


def _caption(lines: Lines) -> str:
    has_seeds = any(len(found) > 1 for values in lines.values() for found in values)
    over = ", and over seeds" if has_seeds else ""
    return f"Accuracy under each corruption, in the mean over its severities{over}; further out is better."


def _layout(num_lines: int) -> dict[str, Any]:
    """Room above for a legend of two names a row."""
    above = 50 + 10 * num_lines
    return {
        "height": 340 + above,
        "margin": {"l": 84, "r": 84, "t": above, "b": 36},
        "polar": {
            "bgcolor": "rgba(0,0,0,0)",
            "radialaxis": {
                **GRID,
                "rangemode": "tozero",
                "nticks": 5,
                "ticksuffix": " %",
                "angle": 90,
                "tickangle": 90,
            },
            "angularaxis": {**GRID, "direction": "clockwise", "rotation": 90},
        },
    }
