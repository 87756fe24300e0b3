"""Training curves: loss and accuracy over epochs, of every run that has a log.

A search trains nothing itself: its finished trials lie faintly behind the one that was chosen.
"""

from typing import Any

import plotly.graph_objects as go

from pointlab.report.collect import Material, best_trials
from pointlab.report.figures import (
    NEUTRAL,
    TARGET,
    TRAINING,
    VALIDATION,
    Picture,
    in_percent,
    label,
    picture,
    thin,
)
from pointlab.report.wording import measure_name
from pointlab.storage import Record
from pointlab.training.run import Line

SPLITS = {
    "train": ("training", TRAINING),
    "validation": ("validation", VALIDATION),
    "test": ("test, which chose the epoch", TARGET),
}
"""What a log tells of; of test only where that is a habit of released code."""
IN_PERCENT = ("accuracy", "miou")
MAX_CURVES = 40
"""In one plot; more could not be told apart."""


def training_pictures(material: Material) -> list[tuple[Record, list[Picture]]]:
    """Loss, accuracy and mean intersection over union, where there are such figures, of every record that has
    a log or trials with logs."""
    found = []
    for number, record in enumerate(material.records):
        main = record.notes.get("chosen trial", record.run)
        others = [run for run in best_trials(record) if run != main and run in material.logs]
        pictures = [
            _picture(f"{measure}-{number}", measure, material, main, others)
            for measure in ("loss", *IN_PERCENT)
            if any(f"{split}/{measure}" in line for line in material.logs.get(main, []) for split in SPLITS)
        ]
        if pictures:
            found.append((record, pictures))
    return found


def _picture(name: str, measure: str, material: Material, main: str, others: list[str]) -> Picture:
    faint = [
        trace
        for run in others[: MAX_CURVES - len(SPLITS)]
        if (trace := _curve(material.logs[run], "validation", measure, run, is_faint=True)) is not None
    ]
    for trace in faint[:1]:
        trace.showlegend = True
    own = [_curve(material.logs[main], split, measure, main, is_faint=False) for split in SPLITS]
    traces = [*faint, *(trace for trace in own if trace is not None)]
    title = measure_name(measure)
    caption = f"{title[0].upper()}{title[1:]} of {main} over its epochs"
    caption += f"; faintly, validation {title} of the other finished trials ({len(faint)})." if faint else "."
    y: dict[str, Any] = {"title": {"text": title}}
    if measure in IN_PERCENT:
        y["ticksuffix"] = " %"
    return picture(name, traces, {"title": {"text": "epoch"}, "rangemode": "tozero"}, y, caption, height=300)


def _curve(log: list[Line], split: str, measure: str, run: str, *, is_faint: bool) -> Any:
    metric = f"{split}/{measure}"
    points = [(line["epoch"], line[metric]) for line in log if metric in line]
    if not points:
        return None
    xs, ys = thin(*zip(*points, strict=True))
    title, colour = SPLITS[split]
    return go.Scatter(
        x=xs,
        y=in_percent(ys) if measure in IN_PERCENT else ys,
        name="validation, other trials" if is_faint else title,
        mode="lines" if is_faint or len(xs) > 60 else "lines+markers",
        line={"color": NEUTRAL if is_faint else colour, "width": 1.5 if is_faint else 2.5},
        marker={"size": 5},
        opacity=0.6 if is_faint else 1,
        showlegend=not is_faint,
        hovertemplate=f"{label(run)}<br>epoch %{{x:.1f}}: %{{y:.4g}}<extra>{title}</extra>",
    )
