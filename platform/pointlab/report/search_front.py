"""The front of a search with several objectives: its trials in the plane of every two of them."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations
from typing import Any

import plotly.graph_objects as go

from pointlab.report.figures import SERIES, TARGET, Picture, label, picture, ring
from pointlab.report.wording import is_share, measure_name, split_name
from pointlab.storage import Record

ON_THE_FRONT = SERIES[1]
Row = Mapping[str, float | str]


def objectives_of(record: Record) -> list[str]:
    """The figures that the search compared trials by, where there are several."""
    metrics = [str(objective["metric"]) for objective in record.config.get("objectives", [])]
    return metrics if len(metrics) > 1 else []


def front_pictures(name: str, record: Record) -> Iterator[Picture]:
    """A plane for every two objectives; none of a search with one."""
    for number, (across, up) in enumerate(combinations(objectives_of(record), 2)):
        yield _plane(f"{name}-{number}", record, across, up)


def _plane(name: str, record: Record, across: str, up: str) -> Picture:
    finished = [row for row in record.curves["trials"] if row["outcome"] == "finished"]
    front = {row["trial"] for row in record.curves["pareto"]}
    recommended = [row for row in record.curves["pareto"] if row["recommended"]]
    is_whole = len(objectives_of(record)) == 2
    off = [row for row in finished if row["trial"] not in front]
    traces = [
        _trials("other trials", off, across, up, TARGET),
        _trials("on the front", record.curves["pareto"], across, up, ON_THE_FRONT, is_joined=is_whole),
        ring([_value(row, across) for row in recommended], [_value(row, up) for row in recommended]),
    ]
    x, y = _axis(record, across), _axis(record, up)
    caption = (
        f"Every finished trial by {'its two' if is_whole else 'two of its'} objectives, measured on"
        " validation data. The front is what no other trial beats in all objectives; the ring is the"
        f" recommended one: {record.notes.get('recommendation', 'see its notes')}."
    )
    return picture(name, traces, {**x, "showgrid": True}, y, caption, height=360)


def _trials(
    name: str, rows: Sequence[Row], across: str, up: str, colour: str, *, is_joined: bool = False
) -> Any:
    rows = sorted(rows, key=lambda row: _value(row, across))
    return go.Scatter(
        x=[_value(row, across) for row in rows],
        y=[_value(row, up) for row in rows],
        name=name,
        mode="lines+markers" if is_joined else "markers",
        line={"color": colour, "width": 1.5, "dash": "dot"},
        marker={"color": colour, "size": 9},
        text=[label(row["run"]) for row in rows],
        hovertemplate="%{text}<br>%{x:.4~g} and %{y:.4~g}<extra></extra>",
    )


def _value(row: Row, metric: str) -> float:
    return round((100 if is_share(metric) else 1) * float(row[metric]), 4)


def _axis(record: Record, metric: str) -> dict[str, Any]:
    title = f"{split_name(record, metric)}: {measure_name(metric)}"
    return {"title": {"text": label(title)}, "ticksuffix": " %" if is_share(metric) else ""}
