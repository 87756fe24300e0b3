"""Clouds as points in the plane, by t-SNE of their features, with a colour for every class."""

import colorsys
from collections.abc import Sequence
from typing import Any

import plotly.graph_objects as go

from pointlab.report.figures import Picture, label, picture
from pointlab.report.layers import Layers, Row
from pointlab.report.views import PARTS
from pointlab.storage import Record

LAYOUT = {"height": 320, "margin": {"l": 8, "r": 8, "t": 12, "b": 12}, "showlegend": False}
AXIS = {"showgrid": False, "showticklabels": False, "ticks": "", "title": {"text": ""}}


def class_colours(record: Record) -> dict[str, str]:
    """A colour for every class that the embedding shows: those of parts, or a wheel of hues for many."""
    names = sorted({str(row["class"]) for row in record.curves.get("embedding", [])})
    if len(names) <= len(PARTS):
        return dict(zip(names, PARTS, strict=False))
    return {name: _hue(number, len(names)) for number, name in enumerate(names)}


def embedding_pictures(
    name: str, record: Record, subjects: Sequence[Layers], colours: dict[str, str]
) -> tuple[list[Picture], list[Picture]]:
    """The deepest stage of every subject that was embedded, and the stages before it."""
    deepest, others = [], []
    for number, subject in enumerate(subjects):
        clouds: dict[str, list[Row]] = {stage: [] for stage in subject.stages}
        for row in record.curves.get("embedding", []):
            if row["subject"] == subject.subject:
                clouds[str(row["stage"])].append(row)
        pictures = [
            _scatter(f"{name}-embedding-{number}-{depth}", f"{subject.subject}, {stage}", rows, colours)
            for depth, (stage, rows) in enumerate(clouds.items())
            if rows
        ]
        deepest += pictures[-1:]
        others += pictures[:-1]
    return deepest, others


def _scatter(name: str, caption: str, rows: Sequence[Row], colours: dict[str, str]) -> Picture:
    traces = [
        _clouds(one, colour, [row for row in rows if row["class"] == one]) for one, colour in colours.items()
    ]
    return picture(name, traces, AXIS, {**AXIS, "scaleanchor": "x"}, caption, **LAYOUT)


def _clouds(class_name: str, colour: str, rows: Sequence[Row]) -> Any:
    return go.Scatter(
        x=[round(float(row["x"]), 2) for row in rows],
        y=[round(float(row["y"]), 2) for row in rows],
        name=label(class_name),
        mode="markers",
        marker={"color": colour, "size": 6, "opacity": 0.85},
        hovertemplate=f"{label(class_name)}<extra></extra>",
    )


def _hue(number: int, count: int) -> str:
    """Evenly spaced hues, lighter and darker in turn, so that neighbours on the wheel differ."""
    lightness = 0.42 if number % 2 else 0.58
    channels = colorsys.hls_to_rgb(number / count, lightness, 0.62)
    return "#" + "".join(f"{round(255 * channel):02x}" for channel in channels)
