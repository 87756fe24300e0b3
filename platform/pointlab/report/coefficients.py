"""The coefficient curve: accuracy from the pretrained to the fine-tuned end, and the plane it moves in.

The two plots are those of WiSE-FT (Wortsman et al., "Robust fine-tuning of zero-shot models", figure 1):
accuracy against the coefficient, and accuracy under shift against accuracy on the target.
"""

from typing import Any

import plotly.graph_objects as go

from pointlab.report.collect import Material
from pointlab.report.figures import CHOSEN, NEUTRAL, SHIFTED, TARGET, Picture, in_percent, picture, ring
from pointlab.report.sweeps import ENDS, METHODS, SPLITS, Sweep, accuracy, describe, read_sweep
from pointlab.storage import Record

COLOURS = {"target": TARGET, "shifted": SHIFTED}
DASHES = {"wise_ft_lp": "solid", "wise_ft": "dash"}
PROGRESS = [[0, "#4a6fd8"], [0.4, "#a34fb8"], [0.75, "#e2574e"], [1, "#f2a23a"]]
"""Colours from coefficient 0 to 1 that show on white and on black."""
LAYOUT = {"height": 400, "margin": {"l": 74, "r": 14, "t": 62, "b": 64}}
PLANE_CAPTION = (
    "The same mixtures in the plane of the two accuracies, joined and coloured in order of coefficient: "
    "up and to the right is better on both. A path that bends outwards passes mixtures better than its ends."
)


def coefficient_pictures(material: Material) -> list[tuple[Record, list[Picture]]]:
    """The curve, and where there is a shifted set the plane, of every record with a sweep."""
    found = []
    for number, record in enumerate(material.records):
        if record.curves.get("coefficients"):
            sweep = read_sweep(record)
            pictures = [_curve(f"coefficients-{number}", sweep)]
            if sweep.splits == list(SPLITS):
                pictures.append(_plane(f"plane-{number}", sweep))
            found.append((record, pictures))
    return found


def _curve(name: str, sweep: Sweep) -> Picture:
    traces = [_line(sweep, method, split) for split in sweep.splits for method in sweep.by_method]
    layout = dict(LAYOUT)
    if sweep.chosen is not None:
        at = float(sweep.chosen["coefficient"])
        heights = in_percent([accuracy(sweep.chosen, split) for split in sweep.splits])
        traces.append(ring([at] * len(heights), heights))
        layout |= _mark(at)
    ticks = [round(0.2 * step, 1) for step in range(6)]
    text = [f"{tick:g}<br>{ENDS[tick]}" if tick in ENDS else f"{tick:g}" for tick in ticks]
    x = {"title": {"text": "mixing coefficient"}, "tickvals": ticks, "ticktext": text, "range": [-0.07, 1.07]}
    return picture(name, traces, x, _axis("validation accuracy"), describe(sweep), **layout)


def _line(sweep: Sweep, method: str, split: str) -> Any:
    title = f"{split}, {METHODS[method]}"
    return go.Scatter(
        x=sweep.coefficients(method),
        y=in_percent(sweep.accuracies(method, split)),
        name=title,
        mode="lines+markers",
        line={"color": COLOURS[split], "dash": DASHES[method], "width": 2.5},
        marker={"size": 6},
        hovertemplate=f"{title}<br>coefficient %{{x}}: %{{y:.1f}} %<extra></extra>",
    )


def _mark(coefficient: float) -> dict[str, Any]:
    """A line at the chosen coefficient, and a word above it that stays within the plot."""
    at = {"x0": coefficient, "x1": coefficient, "y0": 0, "y1": 1, "yref": "paper"}
    anchor = "right" if coefficient > 0.8 else "left" if coefficient < 0.2 else "center"
    word = {"x": coefficient, "y": 1, "yref": "paper", "xanchor": anchor, "yanchor": "bottom"}
    return {
        "shapes": [{"type": "line", **at, "line": {"color": CHOSEN, "width": 1, "dash": "dot"}}],
        "annotations": [{**word, "text": f"chosen on validation: {coefficient:g}", "showarrow": False}],
    }


def _plane(name: str, sweep: Sweep) -> Picture:
    others = [method for method in sweep.by_method if method != sweep.own]
    traces = [_path(sweep, method) for method in (*others, sweep.own) if method in sweep.by_method]
    if sweep.chosen is not None:
        target, shifted = (in_percent([accuracy(sweep.chosen, split)]) for split in SPLITS)
        traces.append(ring(target, shifted))
    ends = [_end(sweep, coefficient) for coefficient in ENDS if sweep.at(coefficient) is not None]
    x = {**_axis("target validation accuracy"), "showgrid": True}
    return picture(
        name, traces, x, _axis("shifted validation accuracy"), PLANE_CAPTION, **LAYOUT, annotations=ends
    )


def _path(sweep: Sweep, method: str) -> Any:
    is_own = method == sweep.own
    coefficients = sweep.coefficients(method)
    marker = {
        "color": coefficients,
        "colorscale": PROGRESS,
        "cmin": 0,
        "cmax": 1,
        "size": 10 if is_own else 6,
    }
    return go.Scatter(
        x=in_percent(sweep.accuracies(method, "target")),
        y=in_percent(sweep.accuracies(method, "shifted")),
        name=METHODS[method],
        mode="lines+markers",
        marker=marker,
        line={"color": NEUTRAL, "dash": DASHES[method], "width": 2 if is_own else 1},
        customdata=coefficients,
        hovertemplate=f"{METHODS[method]} at %{{customdata}}<br>target %{{x:.1f}} %, shifted %{{y:.1f}} %"
        "<extra></extra>",
    )


def _end(sweep: Sweep, coefficient: float) -> dict[str, Any]:
    """The name of one end of the record's own path, below the pretrained and above the fine-tuned one."""
    row = sweep.at(coefficient)
    assert row is not None, "only ends on the grid are named"
    (x,), (y,) = (in_percent([accuracy(row, split)]) for split in SPLITS)
    arrow = {"ax": 0, "ay": 34 if coefficient == 0 else -34, "arrowhead": 0, "arrowwidth": 1, "standoff": 8}
    return {"x": x, "y": y, "text": ENDS[coefficient], "arrowcolor": NEUTRAL, **arrow}


def _axis(title: str) -> dict[str, Any]:
    return {"title": {"text": title}, "ticksuffix": " %"}
