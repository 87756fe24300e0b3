"""What is good on the target and robust at once: the cells of a study in the plane of two figures.

The figures are of the test splits where cells have them: they are shown, and choose nothing.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

import plotly.graph_objects as go

from pointlab.experiment.search.pareto import pareto_front
from pointlab.report.cells import CellGroup, cells_by_place
from pointlab.report.collect import Material
from pointlab.report.corruptions import clouds_met
from pointlab.report.figures import NEUTRAL, SERIES, Picture, in_percent, label, picture
from pointlab.study.statistics import mean_interval

PLANES = (
    (("test/accuracy", "target test accuracy"), ("shifted-test/accuracy", "shifted test accuracy")),
    (("test/accuracy", "target test accuracy"), ("corrupted-test/mOA", "mean accuracy under corruptions")),
    (("test/miou", "target test mean IoU"), ("shifted-test/miou", "shifted test mean IoU")),
)
ON_VALIDATION = (
    (
        ("validation/accuracy", "target validation accuracy"),
        ("shifted-validation/accuracy", "shifted validation accuracy"),
    ),
    (
        ("validation/accuracy", "target validation accuracy"),
        ("corrupted-validation/mOA", "mean validation accuracy under corruptions"),
    ),
)
"""What stands in where no cell of a study was tested."""
SYMBOLS = ("circle", "square", "diamond", "cross", "triangle-up", "x", "star", "hexagon")
CAPTION = (
    "A point is a start (symbol) under a protocol (colour), in the mean over seeds, with Student's 95 %"
    " intervals over seeds; up and to the right is better on both. The line joins those that no other beats"
    " on both. Nothing is chosen by it."
)
ALONE = " These met the corrupted clouds {suite}; who met others is not among them."
MARGIN = {"l": 74, "r": 14, "t": 70, "b": 48}
"""Room for a legend of two rows."""


@dataclass(frozen=True)
class Spot:
    """A point of a plane with its name, and how far its intervals reach below and above in each figure."""

    name: str
    start: str
    protocol: str
    at: tuple[float, float]
    reach: tuple[tuple[float, float], tuple[float, float]]


def study_planes(material: Material) -> list[tuple[str, tuple[Picture, ...]]]:
    """The planes of every place of the page's studies at which two groups or more can be compared."""
    found = []
    for number, (place, cells) in enumerate(cells_by_place(material).items()):
        pictures = tuple(_planes(f"front-{number}", cells))
        if pictures:
            found.append((place.title, pictures))
    return found


def _planes(name: str, cells: Sequence[CellGroup]) -> Iterator[Picture]:
    """Folds ask about a few classes, and a legacy protocol has chosen on test: neither is comparable."""
    compared = [c for c in cells if not (c.is_legacy or c.group.protocol.startswith("few_shot"))]
    is_tested = any(metric.startswith("test/") for cell in compared for metric in cell.group.metrics)
    for number, (x, y) in enumerate(PLANES if is_tested else ON_VALIDATION):
        measured = [c for c in compared if c.group.values(x[0]) and c.group.values(y[0])]
        suites = _by_suite(measured, y[0].partition("/")[0])
        for place, (suite, same) in enumerate(suites.items()):
            spots = [_spot(cell, x[0], y[0]) for cell in same]
            if len(spots) > 1:
                told = ALONE.format(suite=suite or "of no noted suite") if len(suites) > 1 else ""
                yield _plane(f"{name}-{number}-{place}", spots, x[1], y[1], CAPTION + told)


def _by_suite(cells: Sequence[CellGroup], split: str) -> dict[str, list[CellGroup]]:
    """Together who met the same clouds, by the hash of the suite; of uncorrupted clouds all."""
    found: dict[str, list[CellGroup]] = {}
    for cell in cells:
        suite = clouds_met(cell.group, split) if split.startswith("corrupted-") else ""
        found.setdefault(suite, []).append(cell)
    return found


def _spot(cell: CellGroup, *metrics: str) -> Spot:
    first, second = (cell.group.values(metric) for metric in metrics)
    at = fmean(first), fmean(second)
    return Spot(cell.title, cell.start, cell.protocol, at, (_reach(first), _reach(second)))


def _reach(values: Sequence[float]) -> tuple[float, float]:
    """From the mean to the bounds of its interval within [0, 1]; nothing where there is none."""
    mean, bounds = fmean(values), mean_interval(values)
    return (0.0, 0.0) if bounds is None else (mean - max(0.0, bounds[0]), min(1.0, bounds[1]) - mean)


def _plane(name: str, spots: Sequence[Spot], across: str, up: str, caption: str) -> Picture:
    protocols = list(dict.fromkeys(spot.protocol for spot in spots))
    starts = list(dict.fromkeys(spot.start for spot in spots))
    symbols = dict(zip(starts, SYMBOLS * len(starts), strict=False))
    means = [tuple(in_percent(spot.at)) for spot in spots]
    traces = [front_line([(x, y) for x, y in means])]
    for protocol, colour in zip(protocols, SERIES * len(protocols), strict=False):
        traces.append(
            _spots([spot for spot in spots if spot.protocol == protocol], protocol, colour, symbols)
        )
    if len(starts) > 1:
        traces += [_key(start, symbol) for start, symbol in symbols.items()]
    x, y = ({"title": {"text": title}, "ticksuffix": " %"} for title in (across, up))
    return picture(name, traces, {**x, "showgrid": True}, y, caption, height=440, margin=MARGIN)


def _spots(spots: Sequence[Spot], protocol: str, colour: str, symbols: dict[str, str]) -> Any:
    bars = [
        {
            "type": "data",
            "arrayminus": in_percent([spot.reach[axis][0] for spot in spots]),
            "array": in_percent([spot.reach[axis][1] for spot in spots]),
            "color": colour,
            "thickness": 1,
            "width": 3,
        }
        for axis in (0, 1)
    ]
    told = label(protocol.replace("-", " "))
    return go.Scatter(
        x=in_percent([spot.at[0] for spot in spots]),
        y=in_percent([spot.at[1] for spot in spots]),
        name=told,
        mode="markers",
        marker={"color": colour, "size": 11, "symbol": [symbols[spot.start] for spot in spots]},
        error_x=bars[0],
        error_y=bars[1],
        text=[label(spot.name) for spot in spots],
        hovertemplate="%{text}<br>%{x:.1f} % and %{y:.1f} %<extra></extra>",
    )


def _key(start: str, symbol: str) -> Any:
    """An entry of the legend alone, for a symbol."""
    marker = {"color": NEUTRAL, "size": 10, "symbol": symbol}
    return go.Scatter(x=[None], y=[None], mode="markers", name=label(start), marker=marker)


def front_line(points: Sequence[tuple[float, float]]) -> Any:
    """A line from left to right through those points, in their own units, that no other beats on both."""
    front = sorted({points[place] for place in pareto_front(points)})
    return go.Scatter(
        x=[x for x, _ in front],
        y=[y for _, y in front],
        mode="lines",
        line={"color": NEUTRAL, "width": 1.5, "dash": "dot"},
        hoverinfo="skip",
        showlegend=False,
    )
