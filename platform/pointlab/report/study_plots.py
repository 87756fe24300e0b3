"""The plots of a study: what each start gains with its interval, and accuracy against labels."""

from collections.abc import Iterator, Sequence

import plotly.graph_objects as go

from pointlab.experiment.matrix import ALL
from pointlab.report.figures import NEUTRAL, SERIES, Picture, in_percent, label, picture
from pointlab.study.comparison import Row

SHORT = 15
"""Longest name of a place in one line: a phone has no room for more beside the plot."""


def difference_picture(name: str, pooled: Sequence[Row], measure: str = "") -> Iterator[Picture]:
    """Differences to the baseline over routes and labels, a colour for each protocol; none without any.

    The caption tells of the `measure` where there are several.
    """
    if not pooled:
        return
    protocols = dict.fromkeys(str(row["protocol"]) for row in pooled)
    traces = [
        _differences(protocol, colour, [row for row in pooled if row["protocol"] == protocol])
        for protocol, colour in zip(protocols, SERIES * len(protocols), strict=False)
    ]
    x = {
        "title": {"text": "difference, points"},
        "zeroline": True,
        "zerolinecolor": NEUTRAL,
        "showgrid": True,
    }
    places = len({(row["start"], row["backbone"]) for row in pooled})
    yield picture(
        f"{name}-differences",
        traces,
        x,
        {"showgrid": False, "automargin": True, "autorange": "reversed"},
        f"Mean difference to the baseline over routes, labels and seeds{measure}, with its 95 % interval:"
        " over further pretrainings, for these routes, backbones and test clouds. Hollow: no interval can be"
        " had.",
        height=110 + 34 * places,
        scattermode="group",
    )


def _differences(protocol: str, colour: str, rows: Sequence[Row]) -> go.Scatter:
    middle = in_percent([float(row["difference"]) for row in rows])
    above, below = ([_reach(row, side) for row in rows] for side in ("high", "low"))
    error = {"type": "data", "array": above, "arrayminus": below, "color": colour, "thickness": 2, "width": 4}
    return go.Scatter(
        x=middle,
        y=[_place(row) for row in rows],
        name=label(protocol.replace("-", " ")),
        mode="markers",
        orientation="h",
        marker={"color": colour, "size": 9, "symbol": [_symbol(row) for row in rows]},
        error_x=error,
        hovertemplate="%{y}: %{x:+.1f} points<extra>" + label(protocol) + "</extra>",
    )


def _symbol(row: Row) -> str:
    return "circle-open" if row["low"] == "" else "circle"


def _place(row: Row) -> str:
    """In two lines where one would leave a phone no room for the plot; plotly reads <br>."""
    backbone = "all backbones" if row["backbone"] == ALL else str(row["backbone"])
    is_short = len(f"{row['start']}{backbone}") <= SHORT
    return f"{label(row['start'])},{' ' if is_short else '<br>'}{label(backbone)}"


def _reach(row: Row, side: str) -> float:
    """How far the interval reaches from the difference to one side."""
    return round(100 * abs(float(row[side]) - float(row["difference"])), 2) if row[side] != "" else 0.0


def few_shot_pictures(name: str, comparison: Sequence[Row], measure: str = "accuracy") -> Iterator[Picture]:
    """One measure of two starts or more against labels, by route and protocol, of the backbones with the most
    seeds."""
    most = max((float(row["seeds"]) for row in comparison), default=0.0)
    studied = dict.fromkeys(row["backbone"] for row in comparison if float(row["seeds"]) == most)
    rows = [row for row in comparison if row["backbone"] in studied]
    starts = dict.fromkeys(str(row["start"]) for row in comparison)
    colours = dict(zip(starts, (NEUTRAL, *SERIES * len(starts)), strict=False))
    places = dict.fromkeys((str(row["route"]), str(row["protocol"]), str(row["backbone"])) for row in rows)
    for number, (route, protocol, backbone) in enumerate(places):
        place = (route, protocol, backbone)
        here = [row for row in rows if (row["route"], row["protocol"], row["backbone"]) == place]
        numbers, found = ({row[level] for row in here} for level in ("samples_per_class", "start"))
        if len(numbers) > 1 and len(found) > 1:
            yield _few_shot(
                f"{name}-labels-{number}",
                here,
                colours,
                measure,
                f"{route}, {protocol.replace('-', ' ')}, {backbone}: mean and deviation over seeds, on these"
                " test clouds; hollow: one seed.",
            )


def _few_shot(name: str, rows: Sequence[Row], colours: dict[str, str], measure: str, caption: str) -> Picture:
    """A start has one colour in all of a study's plots."""
    starts = dict.fromkeys(str(row["start"]) for row in rows)
    order = sorted({str(row["samples_per_class"]) for row in rows}, key=_num_labels)
    traces = [
        _curve(start, colours[start], sorted((r for r in rows if r["start"] == start), key=_labels_of))
        for start in starts
    ]
    x = {"title": {"text": "training labels of each class"}, "type": "category", "categoryorder": "array"}
    y = {"title": {"text": measure}, "ticksuffix": " %"}
    return picture(name, traces, {**x, "categoryarray": order}, y, caption, height=300)


def _labels_of(row: Row) -> float:
    return _num_labels(str(row["samples_per_class"]))


def _num_labels(labels: str) -> float:
    return float("inf") if labels == ALL else float(labels)


def _curve(start: str, colour: str, rows: Sequence[Row]) -> go.Scatter:
    spread = [float(row["deviation"] or 0) for row in rows]
    return go.Scatter(
        x=[str(row["samples_per_class"]) for row in rows],
        y=in_percent([float(row["mean"]) for row in rows]),
        name=label(start),
        mode="lines+markers",
        line={"color": colour, "width": 2},
        marker={"size": 7, "symbol": ["circle-open" if row["deviation"] == "" else "circle" for row in rows]},
        error_y={"type": "data", "array": in_percent(spread), "color": colour, "thickness": 1, "width": 3},
        hovertemplate="%{x}: %{y:.1f} %<extra>" + label(start) + "</extra>",
    )
