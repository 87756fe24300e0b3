"""Cost against quality: what a pretraining and its teachers took, and what it gains over the baseline."""

from collections.abc import Iterator, Sequence
from statistics import fmean
from typing import Any

import plotly.graph_objects as go

from pointlab.experiment.matrix import ALL
from pointlab.report.figures import NEUTRAL, SERIES, Picture, in_percent, label, picture
from pointlab.report.measures import by_measure, measure_words
from pointlab.report.pareto import SYMBOLS
from pointlab.report.wording import duration
from pointlab.storage import Record
from pointlab.study.comparison import Row

QUANTITIES: dict[str, dict[str, Any]] = {
    "flops": {"title": {"text": "operations (FLOP)"}, "tickformat": "~s"},
    "seconds": {"title": {"text": "device seconds"}},
}
"""What a pretraining took, with the look of its axis; operations first, as they differ with no device."""
COLUMNS = (
    *(("samples", "Samples seen"), ("clouds", "Clouds encoded"), ("steps", "Steps"), ("flops", "Operations")),
    *(("seconds", "Device time"), ("teacher_flops", "Operations of teachers")),
    ("teacher_seconds", "Device time of teachers"),
)
CAPTION = (
    "What a pretraining took, in the mean over routes, against the mean difference to the baseline, by start"
    " (symbol) and protocol (colour). Hollow, joined by a line: with what it rests on, its teachers or stage"
    " I, which others may share. Nothing is chosen by it."
)


def cost_rows(record: Record) -> list[tuple[tuple[str, ...], tuple[tuple[str, float | str], ...]]]:
    """Start, backbone and route, then every figure in words and as a number."""
    return [
        (
            (str(row["start"]), str(row["backbone"]), str(row["route"])),
            tuple((_told(column, row[column]), row[column]) for column, _ in COLUMNS),
        )
        for row in record.curves.get("costs", [])
    ]


def cost_pictures(name: str, record: Record) -> Iterator[Picture]:
    """A plot for each measure and backbone of which two starts or more can be shown."""
    for number, (measure, rows) in enumerate(by_measure(record, "pooled").items()):
        for backbone in dict.fromkeys(str(row["backbone"]) for row in rows if row["backbone"] != ALL):
            gains = [row for row in rows if row["backbone"] == backbone]
            costs = [row for row in record.curves.get("costs", []) if row["backbone"] == backbone]
            quantity = next((each for each in QUANTITIES if _is_known(each, gains, costs)), None)
            if quantity and len({row["start"] for row in gains}) > 1:
                caption = f"{backbone}, {measure_words(measure)}. {CAPTION}"
                yield _plane(f"{name}-cost-{number}-{backbone}", gains, costs, quantity, caption)


def _is_known(quantity: str, gains: Sequence[Row], costs: Sequence[Row]) -> bool:
    return all(_spent(str(row["start"]), costs, quantity) is not None for row in gains)


def _spent(start: str, costs: Sequence[Row], column: str) -> float | None:
    """Of a start in the mean over routes; None where it is not known of one."""
    found = [row[column] for row in costs if row["start"] == start]
    return fmean(map(float, found)) if found and "" not in found else None


def _plane(name: str, gains: Sequence[Row], costs: Sequence[Row], quantity: str, caption: str) -> Picture:
    starts = list(dict.fromkeys(str(row["start"]) for row in gains))
    protocols = dict.fromkeys(str(row["protocol"]) for row in gains)
    symbols = dict(zip(starts, SYMBOLS * len(starts), strict=False))
    traces = []
    for protocol, colour in zip(protocols, SERIES * len(protocols), strict=False):
        rows = [row for row in gains if row["protocol"] == protocol]
        traces.append(_points(rows, costs, quantity, colour, symbols))
        traces += [_with_teachers(row, costs, quantity, colour, symbols) for row in rows]
    for start, symbol in symbols.items():
        marker = {"color": NEUTRAL, "size": 10, "symbol": symbol}
        traces.append(go.Scatter(x=[None], y=[None], mode="markers", name=label(start), marker=marker))
    x = {**QUANTITIES[quantity], "showgrid": True, "rangemode": "tozero"}
    y = {"title": {"text": "difference, points"}, "zeroline": True, "zerolinecolor": NEUTRAL}
    margin = {"l": 74, "r": 14, "t": 70, "b": 48}
    return picture(name, traces, x, y, caption, height=420, margin=margin)


def _points(
    rows: Sequence[Row], costs: Sequence[Row], quantity: str, colour: str, symbols: dict[str, str]
) -> go.Scatter:
    told = label(str(rows[0]["protocol"]).replace("-", " "))
    return go.Scatter(
        x=[_spent(str(row["start"]), costs, quantity) for row in rows],
        y=in_percent([float(row["difference"]) for row in rows]),
        name=told,
        mode="markers",
        marker={"color": colour, "size": 11, "symbol": [symbols[str(row["start"])] for row in rows]},
        text=[label(row["start"]) for row in rows],
        hovertemplate="%{text}: %{y:+.1f} points for %{x:.3s}<extra>" + told + "</extra>",
    )


def _with_teachers(
    row: Row, costs: Sequence[Row], quantity: str, colour: str, symbols: dict[str, str]
) -> go.Scatter:
    """From the pretraining alone to it and its teachers; nothing where it has none, or none is known of."""
    start, gain = str(row["start"]), in_percent([float(row["difference"])])[0]
    own, more = (_spent(start, costs, column) for column in (quantity, f"teacher_{quantity}"))
    xs = [own, own + more] if own is not None and more else []
    return go.Scatter(
        x=xs,
        y=[gain] * len(xs),
        mode="lines+markers",
        line={"color": colour, "width": 1, "dash": "dot"},
        marker={"color": colour, "size": 11, "symbol": [symbols[start], f"{symbols[start]}-open"][: len(xs)]},
        text=[f"{label(start)}, with its teachers"] * len(xs),
        hovertemplate="%{text}: %{x:.3s}<extra></extra>",
        showlegend=False,
    )


def _told(column: str, value: float | str) -> str:
    if value == "":
        return ""
    number = float(value)
    if column.endswith("seconds"):
        return duration(number)
    return f"{number:.2e}" if column.endswith("flops") and number else f"{number:,.0f}"
