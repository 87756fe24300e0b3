"""Plots of a prepared set: clouds by class and split, points per cloud, sides of the clouds' boxes."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import plotly.graph_objects as go

from pointlab.report.dataset_sample import NO_LABEL, DatasetSample
from pointlab.report.figures import NEUTRAL, SHIFTED, TARGET, TRAINING, VALIDATION, Picture, label, picture

SPLIT_COLOURS = {"train": TRAINING, "validation": VALIDATION, "test": TARGET}
BAR_HEIGHT, BESIDES_BARS = 24, 110
NUM_BINS = 40
QUANTILES = (0.01, 0.25, 0.5, 0.75, 0.99)
"""Of the boxes: single stray clouds do not stretch them."""
AXES = ("x", "y (up)", "z")


def class_picture(sample: DatasetSample) -> Picture:
    """A bar for every class, made of its clouds in each split; classes without clouds have an empty one."""
    numbers = list(range(len(sample.manifest.class_names)))
    labels = {split: np.concatenate(read.labels) for split, read in sample.splits.items() if read.labels}
    if any((each == NO_LABEL).any() for each in labels.values()):
        numbers.append(NO_LABEL)
    names = [label(class_name(sample, number)) for number in numbers]
    traces = [
        go.Bar(
            x=[int((found == number).sum()) for number in numbers],
            y=names,
            name=split,
            orientation="h",
            marker={"color": SPLIT_COLOURS[split]},
            hovertemplate=f"%{{y}}: %{{x}} {split}<extra></extra>",
        )
        for split, found in labels.items()
    ]
    counts = [sum(int((found == number).sum()) for found in labels.values()) for number in numbers]
    largest, smallest = max(counts), min(counts)
    caption = f"Clouds of each class, by split: {smallest:,} in the smallest, {largest:,} in the largest."
    return picture(
        "plot-classes",
        traces,
        {"title": "clouds", "showgrid": True},
        {"autorange": "reversed", "automargin": True, "showgrid": False, "dtick": 1},
        caption,
        barmode="stack",
        bargap=0.25,
        legend_traceorder="normal",
        height=BESIDES_BARS + BAR_HEIGHT * len(names),
    )


def class_name(sample: DatasetSample, number: int) -> str:
    """What the page calls a class; clouds without a label are one of their own."""
    return "no label" if number == NO_LABEL else sample.manifest.class_names[number]


def size_pictures(sample: DatasetSample) -> list[Picture]:
    """Points per cloud of every split, and the sides of the clouds' boxes in the split that is shown."""
    return [_length_picture(sample), _side_picture(sample)]


def _length_picture(sample: DatasetSample) -> Picture:
    lengths = {split: np.concatenate(read.lengths) for split, read in sample.splits.items() if read.lengths}
    every = np.concatenate(list(lengths.values()))
    edges = np.unique(np.linspace(every.min(), every.max() + 1, NUM_BINS + 1).round())
    traces = [_histogram(split, found, edges) for split, found in lengths.items()]
    is_fixed = every.min() == every.max()
    told = f"{every.min():,} in all of them" if is_fixed else f"{every.min():,} to {every.max():,}"
    caption = f"Points kept of each cloud: {told}, median {np.median(every):,.0f}."
    x: dict[str, Any] = {"title": "points in a cloud", "tickformat": ",d"}
    if is_fixed:
        x |= {"tickvals": [int(every.min())], "range": [int(every.min()) - 5, int(every.min()) + 5]}
    return picture(
        "plot-lengths",
        traces,
        x,
        {"title": "clouds"},
        caption,
        barmode="stack",
        bargap=0.05,
        legend_traceorder="normal",
    )


def _histogram(split: str, lengths: np.ndarray, edges: np.ndarray) -> Any:
    counts, _ = np.histogram(lengths, edges)
    return go.Bar(
        x=((edges[1:] + edges[:-1] - 1) / 2).tolist(),
        y=counts.tolist(),
        name=split,
        marker={"color": SPLIT_COLOURS[split]},
        hovertemplate=f"%{{y}} {split}<extra></extra>",
    )


def _side_picture(sample: DatasetSample) -> Picture:
    sides = np.concatenate(sample.splits[sample.shown].sides)
    low, lower, middle, upper, high = (_rounded(values) for values in np.quantile(sides, QUANTILES, axis=0))
    trace = go.Box(
        x=list(AXES),
        lowerfence=low,
        q1=lower,
        median=middle,
        q3=upper,
        upperfence=high,
        marker={"color": SHIFTED},
        line={"color": SHIFTED},
        fillcolor="rgba(136, 145, 157, .2)",
        showlegend=False,
    )
    unit = (
        "after normalisation to the unit sphere"
        if sample.manifest.normalise == "unit_sphere"
        else "as stored"
    )
    caption = (
        f"Sides of the boxes around the clouds of {sample.shown}, {unit}: from the 1st to the 99th"
        " percentile, the middle half in the box. A set that lies on its side shows here."
    )
    return picture(
        "plot-sides", [trace], {}, {"title": "length", "rangemode": "tozero", "gridcolor": NEUTRAL}, caption
    )


def _rounded(values: Sequence[float] | np.ndarray) -> list[float]:
    return [float(f"{value:.4g}") for value in values]
