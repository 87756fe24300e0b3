"""The coefficient curve: accuracy from the pretrained to the fine-tuned end, and the plane it moves in.

The two plots are those of WiSE-FT (Wortsman et al., "Robust fine-tuning of zero-shot models", figure 1):
accuracy against the coefficient, and accuracy under shift against accuracy on the target.
"""

from dataclasses import dataclass
from typing import Any

import plotly.graph_objects as go

from pointlab.report.collect import Material
from pointlab.report.figures import CHOSEN, NEUTRAL, SHIFTED, TARGET, Picture, in_percent, picture
from pointlab.report.wording import percent
from pointlab.storage import Record

METHODS = {"wise_ft_lp": ("WiSE-FT-LP", "solid"), "wise_ft": ("WiSE-FT", "dash")}
SPLITS = {"target": TARGET, "shifted": SHIFTED}
ENDS = {0.0: "pretrained", 1.0: "fine-tuned"}
PROGRESS = [[0, "#4a6fd8"], [0.4, "#a34fb8"], [0.75, "#e2574e"], [1, "#f2a23a"]]
"""Colours from coefficient 0 to 1 that show on white and on black."""


@dataclass(frozen=True)
class Sweep:
    """The rows of one record's sweep, and the point that was chosen."""

    record: Record
    by_method: dict[str, list[dict[str, Any]]]
    chosen: dict[str, Any] | None

    def values(self, method: str, split: str) -> list[float]:
        """Validation accuracy of a split at every coefficient."""
        return [float(row[_metric(split)]) for row in self.by_method[method]]

    @property
    def splits(self) -> list[str]:
        """Those that were measured: the target, and perhaps the shifted set."""
        rows = [row for rows in self.by_method.values() for row in rows]
        return [split for split in SPLITS if rows and all(_metric(split) in row for row in rows)]


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


def read_sweep(record: Record) -> Sweep:
    """The sweep of a record in order of coefficient, with the row that its metrics say was chosen."""
    rows = sorted(record.curves["coefficients"], key=lambda row: float(row["coefficient"]))
    by_method = {method: [row for row in rows if row["method"] == method] for method in METHODS}
    own = by_method.get(record.protocol.partition("/")[0], [])
    coefficient = record.metrics.get("selection/coefficient")
    chosen = next((row for row in own if row["coefficient"] == coefficient), None)
    return Sweep(record, {method: found for method, found in by_method.items() if found}, chosen)


def _curve(name: str, sweep: Sweep) -> Picture:
    traces = [_line(sweep, method, split) for split in sweep.splits for method in sweep.by_method]
    layout: dict[str, Any] = {}
    if sweep.chosen is not None:
        at = sweep.chosen["coefficient"]
        heights = in_percent([sweep.chosen[_metric(split)] for split in sweep.splits])
        traces.append(_ring([at] * len(heights), heights, f"chosen on validation: {at:g}"))
        line = {"color": CHOSEN, "width": 1, "dash": "dot"}
        layout["shapes"] = [{"type": "line", "x0": at, "x1": at, "yref": "paper", "y0": 0, "y1": 1, "line": line}]
    ticks = [round(0.2 * step, 1) for step in range(6)]
    text = [f"{tick:g}<br>{ENDS[tick]}" if tick in ENDS else f"{tick:g}" for tick in ticks]
    x = {"title": {"text": "mixing coefficient"}, "tickvals": ticks, "ticktext": text, "range": [-0.06, 1.06]}
    return picture(name, traces, x, _accuracy_axis("validation accuracy"), _curve_caption(sweep), **layout)


def _line(sweep: Sweep, method: str, split: str) -> Any:
    title, dash = METHODS[method]
    return go.Scatter(
        x=[row["coefficient"] for row in sweep.by_method[method]],
        y=in_percent(sweep.values(method, split)),
        name=f"{split}, {title}",
        mode="lines+markers",
        line={"color": SPLITS[split], "dash": dash, "width": 2.5},
        marker={"size": 6},
        hovertemplate=f"{split}, {title}<br>coefficient %{{x}}: %{{y:.1f}} %<extra></extra>",
    )


def _ring(xs: list[float], ys: list[float], name: str) -> Any:
    line = {"color": CHOSEN, "width": 2.5}
    marker = {"symbol": "circle-open", "size": 15, "line": line, "color": CHOSEN}
    return go.Scatter(x=xs, y=ys, name=name, mode="markers", marker=marker, hoverinfo="skip")


def _plane(name: str, sweep: Sweep) -> Picture:
    traces = [_path(sweep, method) for method in sweep.by_method]
    if sweep.chosen is not None:
        target, shifted = (in_percent([sweep.chosen[_metric(split)]]) for split in SPLITS)
        traces.append(_ring(target, shifted, "chosen"))
    caption = (
        "The same mixtures in the plane of the two accuracies, joined in order of coefficient: up and to the "
        "right is better on both. A path that bends outwards holds mixtures better than either end."
    )
    x = {**_accuracy_axis("target validation accuracy"), "showgrid": True}
    return picture(name, traces, x, _accuracy_axis("shifted validation accuracy"), caption)


def _path(sweep: Sweep, method: str) -> Any:
    title, dash = METHODS[method]
    coefficients = [float(row["coefficient"]) for row in sweep.by_method[method]]
    marker = {"size": 9, "color": coefficients, "colorscale": PROGRESS, "cmin": 0, "cmax": 1}
    return go.Scatter(
        x=in_percent(sweep.values(method, "target")),
        y=in_percent(sweep.values(method, "shifted")),
        name=title,
        mode="lines+markers+text",
        text=[ENDS.get(coefficient, "") for coefficient in coefficients],
        textposition="top center",
        customdata=coefficients,
        line={"color": NEUTRAL, "dash": dash, "width": 1.5},
        marker=marker | {"symbol": "circle" if dash == "solid" else "diamond"},
        hovertemplate=f"{title}, coefficient %{{customdata}}<br>target %{{x:.1f}} %, shifted %{{y:.1f}} %<extra></extra>",
    )


def _curve_caption(sweep: Sweep) -> str:
    sentences = ["Validation accuracy of every mixture, each an average of the two ends' weights."]
    if sweep.chosen is not None:
        fine_tuned = next((row for row in sweep.by_method[sweep.chosen["method"]] if row["coefficient"] == 1), None)
        sentences.append(f"The chosen one has {_figures(sweep, sweep.chosen)}")
        if fine_tuned is not None and fine_tuned is not sweep.chosen:
            sentences[-1] += f", where the fine-tuned end has {_figures(sweep, fine_tuned)}"
        sentences[-1] += "; as it was chosen by these very figures, they flatter it, and the test splits decide."
    return " ".join(sentences)


def _figures(sweep: Sweep, row: dict[str, Any]) -> str:
    return " and ".join(f"{percent(row[_metric(split)])} ({split})" for split in sweep.splits)


def _metric(split: str) -> str:
    return f"{split}-validation/accuracy"


def _accuracy_axis(title: str) -> dict[str, Any]:
    return {"title": {"text": title}, "ticksuffix": " %"}
