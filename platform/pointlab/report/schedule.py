"""The schedule that a population found: what its best member was trained with, over the epochs."""

from collections.abc import Iterator, Sequence
from typing import Any

import plotly.graph_objects as go

from pointlab.report.figures import TARGET, Picture, axis_type, label, picture
from pointlab.storage import Record

MARGIN = {"l": 68, "r": 12, "t": 12, "b": 46}


def schedule_pictures(name: str, record: Record, settings: Sequence[str]) -> Iterator[Picture]:
    """A plot for every searched setting of a population; none of another search."""
    rows = record.curves.get("schedule", [])
    for number, setting in enumerate(settings if rows else ()):
        yield _steps(f"{name}-{number}", setting, rows)


def _steps(name: str, setting: str, rows: Sequence[dict[str, float | str]]) -> Picture:
    values = [row[setting] for row in rows]
    trace = go.Scatter(
        x=[row["epoch"] for row in rows],
        y=[label(value) if isinstance(value, str) else value for value in values],
        mode="lines+markers",
        line={"color": TARGET, "width": 2, "shape": "hv"},
        marker={"size": 8},
        customdata=[row["member"] for row in rows],
        hovertemplate="from epoch %{x:g}: %{y} (member %{customdata:g})<extra></extra>",
    )
    x = {"title": {"text": "epoch"}, "rangemode": "tozero"}
    y: dict[str, Any] = {"title": {"text": label(setting.rpartition(".")[2].replace("_", " "))}}
    y["type"] = axis_type(values)
    if len(set(values)) == 1 and isinstance(values[0], float) and values[0]:
        y["range"] = sorted((0.0, 2 * values[0]))  # left alone, it would be one to both sides
    caption = f"{setting} of the chosen trial: each mark is a generation's value, from its first epoch on"
    return picture(name, [trace], x, y, caption, height=235, showlegend=False, margin=MARGIN)
