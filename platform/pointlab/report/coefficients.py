"""The coefficient curve: accuracy from the pretrained to the fine-tuned end, and the plane it moves in.

The two plots are those of WiSE-FT (Wortsman et al., "Robust fine-tuning of zero-shot models", figure 1):
accuracy against the coefficient, and accuracy under shift against accuracy on the target. Runs that differ in
their seed alone share a plot, whose bands are intervals over seeds.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import plotly.graph_objects as go

from pointlab.report.cells import CellGroup, cells_by_place
from pointlab.report.collect import Material
from pointlab.report.figures import (
    CHOSEN,
    CORRUPTED,
    NEUTRAL,
    SHIFTED,
    TARGET,
    Picture,
    faint,
    in_percent,
    picture,
    ring,
)
from pointlab.report.results import group_by_seed
from pointlab.report.sweeps import ENDS, METHODS, Sweep, describe, read_sweep, unite_equal
from pointlab.storage import Record

COLOURS = {"target": TARGET, "shifted": SHIFTED, "corrupted": CORRUPTED}
DASHES = {"wise_ft_lp": "solid", "wise_ft": "dash"}
PROGRESS = [[0, "#4a6fd8"], [0.4, "#a34fb8"], [0.75, "#e2574e"], [1, "#f2a23a"]]
"""Colours from coefficient 0 to 1 that show on white and on black."""
SYMBOLS = {0.0: "square", 1.0: "diamond"}
"""Of the ends of a path in a plane, which its legend names."""
MARGIN = {"l": 74, "r": 24, "t": 66, "b": 64}
PLANE_CAPTION = (
    "The same mixtures in the plane of the two accuracies, joined and coloured in order of coefficient: "
    "up and to the right is better on both. A path that bends outwards passes mixtures better than its ends."
)


@dataclass(frozen=True)
class CoefficientSection:
    """The curve of one sweep, and a plane for each way in which its target was made harder."""

    title: str
    """Where a study has it; "" for runs of the page, which are named instead."""
    runs: tuple[str, ...]
    """Whose figures they are."""
    pictures: tuple[Picture, ...]


def coefficient_sections(material: Material) -> list[CoefficientSection]:
    """One for every sweep: of the page's own runs, then of the cells of its studies."""
    swept = [record for record in material.records if record.curves.get("coefficients")]
    found: list[tuple[str, Sequence[Record], Sweep]] = [
        ("", group.records, read_sweep(group.records)) for group in group_by_seed(swept)
    ]
    found += _of_studies(material)
    return [
        CoefficientSection(title, tuple(record.run for record in records), tuple(_pictures(number, sweep)))
        for number, (title, records, sweep) in enumerate(found)
    ]


def _of_studies(material: Material) -> Iterator[tuple[str, Sequence[Record], Sweep]]:
    """Every sweep of cells with its start and place; one that several protocols measure comes once. Its
    protocols are named where the start has other sweeps there."""
    for place, cells in cells_by_place(material).items():
        by_start: dict[str, list[CellGroup]] = {}
        for cell in cells:
            if all(record.curves.get("coefficients") for record in cell.group.records):
                start = f"{cell.start} (legacy)" if cell.is_legacy else cell.start
                by_start.setdefault(start, []).append(cell)
        for start, group in by_start.items():
            swept = [(cell, read_sweep(cell.group.records)) for cell in group]
            united = unite_equal([sweep for _, sweep in swept])
            for sweep in united:
                same = [cell for cell, own in swept if own.by_method == sweep.by_method]
                protocols = " and ".join(cell.protocol.replace("-", " ") for cell in same)
                name = f"{start}, {protocols}" if len(united) > 1 else start
                records = [record for cell in same for record in cell.group.records]
                yield f"{name}: {place.title}", records, sweep


def _pictures(number: int, sweep: Sweep) -> Iterator[Picture]:
    for method in sweep.own:
        yield _curve(
            f"coefficients-{method}-{number}" if len(sweep.own) > 1 else f"coefficients-{number}",
            sweep,
            method,
        )
    for split in sweep.splits[1:]:
        yield _plane(f"plane-{split}-{number}", sweep, split)


def _curve(name: str, sweep: Sweep, own: str) -> Picture:
    """The lines of both methods, with bands and rings of one of those that the runs have."""
    bands = [_band(sweep, own, split) for split in sweep.splits if sweep.num_seeds > 1]
    traces = [*bands, *(_line(sweep, method, split) for split in sweep.splits for method in sweep.by_method)]
    choices = sweep.chosen_by(own)
    above = 20 * len(sweep.splits) + 26  # a row of the legend for each split, and what was chosen
    layout: dict[str, Any] = {"height": 400, "margin": {**MARGIN, "t": above}}
    if choices:
        marked = [
            (choice.coefficient, *in_percent([choice.accuracies[split]]))
            for choice in choices
            for split in sweep.splits
        ]
        traces.append(ring([x for x, _ in marked], [y for _, y in marked]))
        how = "given" if sweep.is_given else "chosen on validation"
        layout |= _marks(sorted({choice.coefficient for choice in choices}), how)
    ticks = [0.25 * step for step in range(5)]
    text = [f"{tick:g}<br>{ENDS[tick]}" if tick in ENDS else f"{tick:g}" for tick in ticks]
    x: dict[str, Any] = {"title": {"text": "mixing coefficient"}, "range": [-0.07, 1.07]}
    x |= {"tickvals": ticks, "ticktext": text, "tickangle": 0, "ticklabeloverflow": "allow"}
    return picture(name, traces, x, _axis("validation accuracy"), describe(sweep, own), **layout)


def _line(sweep: Sweep, method: str, split: str) -> Any:
    title, points = f"{split}, {METHODS[method]}", sweep.by_method[method]
    return go.Scatter(
        x=[point.coefficient for point in points],
        y=in_percent([point.mean(split) for point in points]),
        name=title,
        mode="lines+markers",
        line={"color": COLOURS[split], "dash": DASHES[method], "width": 2.5},
        marker={"size": 6},
        hovertemplate=f"{title}<br>coefficient %{{x}}: %{{y:.1f}} %<extra></extra>",
    )


def _band(sweep: Sweep, method: str, split: str) -> Any:
    """Intervals over seeds as an area."""
    points = sweep.by_method[method]
    bounds = [point.bounds(split) for point in points]
    there = [point.coefficient for point in points]
    return go.Scatter(
        x=[*there, *reversed(there)],
        y=in_percent([*(low for low, _ in bounds), *(high for _, high in reversed(bounds))]),
        fill="toself",
        fillcolor=faint(COLOURS[split], 0.16),
        mode="lines",
        line={"width": 0},
        hoverinfo="skip",
        showlegend=False,
    )


def _marks(coefficients: Sequence[float], how: str) -> dict[str, Any]:
    """A line at every coefficient, and a word on them above, on the right: so it stays within."""
    line = {"type": "line", "y0": 0, "y1": 1, "yref": "paper"}
    line |= {"line": {"color": CHOSEN, "width": 1, "dash": "dot"}}
    told = " to ".join(f"{coefficient:g}" for coefficient in sorted({coefficients[0], coefficients[-1]}))
    word = {"x": 1, "y": 1, "xref": "paper", "yref": "paper", "xanchor": "right", "yanchor": "bottom"}
    return {
        "shapes": [{**line, "x0": coefficient, "x1": coefficient} for coefficient in coefficients],
        "annotations": [{**word, "text": f"{how}: {told}", "showarrow": False}],
    }


def _plane(name: str, sweep: Sweep, split: str) -> Picture:
    others = [method for method in sweep.by_method if method not in sweep.own]
    traces = [_path(sweep, m, split) for m in (*others, *sweep.own) if m in sweep.by_method]
    traces += [_ends(sweep, end, split) for end in ENDS if any(sweep.at(m, end) for m in sweep.by_method)]
    chosen = sorted({(choice.method, choice.coefficient) for choice in sweep.choices})
    points = [point for method, at in chosen if (point := sweep.at(method, at)) is not None]
    if points:
        target, harder = (in_percent([point.mean(each) for point in points]) for each in ("target", split))
        traces.append(ring(target, harder))
    x = {**_axis("target validation accuracy"), "showgrid": True}
    y = _axis(f"{split} validation accuracy")
    return picture(name, traces, x, y, PLANE_CAPTION, height=400, margin=MARGIN)


def _path(sweep: Sweep, method: str, split: str) -> Any:
    is_own, points = method in sweep.own, sweep.by_method[method]
    coefficients = [point.coefficient for point in points]
    marker = {
        "color": coefficients,
        "colorscale": PROGRESS,
        "cmin": 0,
        "cmax": 1,
        "size": 10 if is_own else 6,
    }
    return go.Scatter(
        x=in_percent([point.mean("target") for point in points]),
        y=in_percent([point.mean(split) for point in points]),
        name=METHODS[method],
        mode="lines+markers",
        marker=marker,
        line={"color": NEUTRAL, "dash": DASHES[method], "width": 2 if is_own else 1},
        customdata=coefficients,
        hovertemplate=f"{METHODS[method]} at %{{customdata}}<br>target %{{x:.1f}} %, {split} %{{y:.1f}} %"
        "<extra></extra>",
    )


def _ends(sweep: Sweep, end: float, split: str) -> Any:
    """One end of every path, which the legend names: words beside it would lie on the marks of others."""
    by_method = sorted(sweep.by_method, key=lambda method: method not in sweep.own)
    points = [point for method in by_method if (point := sweep.at(method, end)) is not None]
    colour = PROGRESS[0][1] if end == 0 else PROGRESS[-1][1]
    return go.Scatter(
        x=in_percent([point.mean("target") for point in points]),
        y=in_percent([point.mean(split) for point in points]),
        name=ENDS[end],
        mode="markers",
        marker={"color": colour, "size": 12, "symbol": SYMBOLS[end]},
        hoverinfo="skip",
    )


def _axis(title: str) -> dict[str, Any]:
    return {"title": {"text": title}, "ticksuffix": " %"}
