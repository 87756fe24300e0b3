"""What was measured over depth: one plot a measure, one line for every subject of an analysis."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import plotly.graph_objects as go

from pointlab.report.figures import NEUTRAL, Picture, label, picture
from pointlab.report.layers import Layers, Row, Shown

CHANCE = 57.2958
"""Mean angle in degrees between a line and one of random direction: one radian."""
DASHES = ("solid", "dot")
LOGARITHMIC = {"type": "log", "tickformat": "~g"}
LAYOUT = {"height": 330, "margin": {"l": 74, "r": 14, "t": 34, "b": 56}}


@dataclass(frozen=True)
class DepthPlot:
    """One measure over depth, or two of a kind; `measures` maps each to the word that tells them apart."""

    measures: dict[str, str]
    title: str
    caption: str
    axis: dict[str, Any] = field(default_factory=dict)
    factor: float = 1
    chance: float | None = None
    """The level of guessing, in the unit of the axis."""


PLOTS = (
    DepthPlot(
        {"linear_accuracy": "linear", "knn_accuracy": "nearest neighbours"},
        "accuracy on pooled features",
        "How well a stage tells the classes apart: by a linear probe, and by a vote of the nearest clouds, on"
        " clouds drawn evenly by class. An early rise is what sets networks on points apart from those on"
        " pictures. Stages within the sampling error of one another are equals.",
        {"ticksuffix": " %"},
        factor=100,
    ),
    DepthPlot(
        {"normal_error": ""},
        "error of predicted normals",
        "Mean angle between the surface normal and what a linear map reads from a stage's tokens: lower keeps"
        " more of the local geometry. A random guess is 57.3° off; one fixed answer may be less.",
        {"ticksuffix": "°"},
        chance=CHANCE,
    ),
    DepthPlot(
        {"gradient_norm": ""},
        "gradient norm",
        "How hard the classification loss pulls at a stage: the length of its gradient, in the mean over"
        " batches and over the stage's parameter tensors. It depends on the head and on the batch size.",
        LOGARITHMIC,
    ),
    DepthPlot(
        {"relative_gradient_norm": ""},
        "gradient norm / parameter norm",
        "The same in proportion to the parameters themselves, so that stages of different sizes compare.",
        LOGARITHMIC,
    ),
    DepthPlot(
        {"drift": ""},
        "drift / norm at the start",
        "How far fine-tuning moved the parameters of a stage, in proportion to where they started.",
        {"ticksuffix": " %", "rangemode": "tozero"},
        factor=100,
    ),
    DepthPlot(
        {"rankme": "RankMe", "effective_rank": "effective rank"},
        "dimensions in use",
        "Over how many directions the pooled features spread, by the entropy of their spectrum. There cannot"
        " be more than channels of the probed feature (a stage of many tokens has two for each of its width)"
        " or clouds, so compare stages of equal channels.",
    ),
)


def depth_pictures(name: str, subjects: Sequence[Layers], shown: Shown | None) -> list[Picture]:
    """A plot of each measure that was taken; `name` begins the names of all.

    On so many classes, of which clouds were drawn evenly, `shown` tells what guessing reaches.
    """
    return [
        _picture(f"{name}-{next(iter(plot.measures))}", _with_chance(plot, shown), subjects)
        for plot in PLOTS
        if any(one.has(measure) for one in subjects for measure in plot.measures)
    ]


def _with_chance(plot: DepthPlot, shown: Shown | None) -> DepthPlot:
    is_accuracy = "linear_accuracy" in plot.measures
    return replace(plot, chance=100 / shown.num_classes) if is_accuracy and shown is not None else plot


def stage_axis(subjects: Sequence[Layers]) -> dict[str, Any]:
    """Positions from 1 on, under the names of the stages where all subjects have the same."""
    longest = max(subjects, key=lambda one: len(one.rows)).stages
    positions = list(range(1, len(longest) + 1))
    are_alike = all(one.stages == longest for one in subjects)
    ticks = [label(stage) for stage in longest] if are_alike else [str(position) for position in positions]
    title = "stage, from shallow to deep"
    return {"title": {"text": title}, "tickvals": positions, "ticktext": ticks, "automargin": True}


def _picture(name: str, plot: DepthPlot, subjects: Sequence[Layers]) -> Picture:
    lines = [
        _line(one, measure, plot, dash)
        for one in subjects
        for measure, dash in zip(plot.measures, DASHES, strict=False)
        if one.has(measure)
    ]
    y = {"title": {"text": plot.title}, **plot.axis}
    return picture(
        name, [*lines, *_words(plot)], stage_axis(subjects), y, plot.caption, **LAYOUT, **_chance(plot)
    )


def _line(subject: Layers, measure: str, plot: DepthPlot, dash: str) -> Any:
    word = plot.measures[measure]
    title = label(f"{subject.subject}, {word}" if word else subject.subject)
    values = subject.values(measure)
    suffix = plot.axis.get("ticksuffix", "")
    return go.Scatter(
        x=list(range(1, len(values) + 1)),
        y=[None if value is None else float(f"{plot.factor * value:.4g}") for value in values],
        customdata=[
            f"{label(stage)}, {_channels(row)}"
            for stage, row in zip(subject.stages, subject.rows, strict=True)
        ],
        name=title,
        showlegend=False,
        mode="lines+markers",
        line={"color": subject.colour, "dash": dash, "width": 2.5},
        marker={"size": 7},
        hovertemplate=f"{title}<br>%{{customdata}}: %{{y:.3g}}{suffix}<extra></extra>",
    )


def _channels(row: Row) -> str:
    """Of the probed feature, where one was kept; else of a token."""
    channels = row.get("channels", "")
    return f"{float(channels):.0f} channels" if channels != "" else f"width {float(row['width']):.0f}"


def _words(plot: DepthPlot) -> list[Any]:
    """What dashes mean, for the legend; the colours are those of the whole section."""
    return [
        go.Scatter(x=[None], y=[None], name=word, mode="lines", line={"color": NEUTRAL, "dash": dash})
        for word, dash in zip(plot.measures.values(), DASHES, strict=False)
        if word
    ]


def _chance(plot: DepthPlot) -> dict[str, Any]:
    """A line at the level of guessing, where there is one, with a word on it."""
    if plot.chance is None:
        return {}
    at = {"x0": 0, "x1": 1, "xref": "paper", "y0": plot.chance, "y1": plot.chance}
    word = {"x": 1, "xref": "paper", "y": plot.chance, "xanchor": "right", "yanchor": "bottom"}
    return {
        "shapes": [{"type": "line", **at, "line": {"color": NEUTRAL, "width": 1, "dash": "dot"}}],
        "annotations": [{**word, "text": "guessing", "showarrow": False}],
    }
