"""What a frozen backbone knows, stage by stage: the accuracy of heads on every stage and pooling of tokens.

Which of these features a head reads is a setting that validation chooses (see `transfer.read_grid`); the
curve `features` of a record tells the best head on each.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from statistics import fmean, stdev
from typing import Any

import plotly.graph_objects as go

from pointlab.report.cells import cells_by_place
from pointlab.report.collect import Material
from pointlab.report.figures import SERIES, Picture, faint, in_percent, label, picture, ring
from pointlab.report.results import Group, group_by_seed
from pointlab.report.wording import GAP, dataset_of, percent
from pointlab.storage import Record

USUAL = "pooled"
"""The feature that heads read in training, and the pooling of the backbone itself."""
POOLINGS = {
    USUAL: "as the backbone pools",
    "maximum": "maximum",
    "mean": "mean",
    "maximum_and_mean": "maximum and mean",
}
ACCURACY = "validation/accuracy"


@dataclass(frozen=True)
class Feature:
    """One feature of a grid, and the validation accuracies in [0, 1] of the best heads on it, by seed."""

    name: str
    """As in the record: block_2/maximum, or pooled."""
    stage: str
    pooling: str
    accuracies: tuple[float, ...]
    num_chosen: int
    """How many seeds have kept it."""

    @property
    def mean(self) -> float:
        """Over seeds."""
        return fmean(self.accuracies)


@dataclass(frozen=True)
class StageSection:
    """The grids of one place, or of the page's own runs, over one range of accuracies."""

    title: str
    pictures: tuple[Picture, ...]


def stage_sections(material: Material) -> list[StageSection]:
    """One for all grids among the page's own records, and one for each place of its studies that has any."""
    found = [("", [(group.name, group) for group in group_by_seed(material.records)])]
    for place, cells in cells_by_place(material).items():
        found.append((place.title, [(cell.title, cell.group) for cell in cells]))
    chosen = [(title, [each for each in every if _has_grid(each[1])]) for title, every in found]
    return [
        StageSection(title, tuple(_pictures(f"stages-{number}", groups, material)))
        for number, (title, groups) in enumerate(each for each in chosen if each[1])
    ]


def read_features(records: Sequence[Record]) -> list[Feature]:
    """The grid of runs that differ in their seed alone, shallow stages first."""
    curves = [{str(row["feature"]): row for row in record.curves["features"]} for record in records]
    kept = [record.notes["reads"].partition(",")[0] for record in records]
    names = list(curves[0])
    num_poolings = len({_pooling(name) for name in names})
    found = []
    for first in range(0, len(names), num_poolings):
        same = names[first : first + num_poolings]  # a grid goes stage by stage
        stage = next((name.rpartition("/")[0] for name in same if name != USUAL), USUAL)
        for name in same:
            accuracies = tuple(float(curve[name][ACCURACY]) for curve in curves)
            found.append(Feature(name, stage, _pooling(name), accuracies, kept.count(name)))
    return found


def _has_grid(group: Group) -> bool:
    return all(record.curves.get("features") for record in group.records)


def _pooling(name: str) -> str:
    return name.rpartition("/")[2]


def _pictures(name: str, groups: Sequence[tuple[str, Group]], material: Material) -> Iterator[Picture]:
    """One for each group; all have one range, so that they compare."""
    grids = [read_features(group.records) for _, group in groups]
    accuracies = [each for grid in grids for feature in grid for each in feature.accuracies]
    low, high = in_percent([min(accuracies), max(accuracies)])
    y = {"title": {"text": "validation accuracy"}, "ticksuffix": " %", "range": [low - 3, high + 3]}
    for number, ((told, group), grid) in enumerate(zip(groups, grids, strict=True)):
        caption = f"{told}: {_choice(grid)}{_clouds(group.records[0], material)}."
        yield _picture(f"{name}-{number}", grid, y, caption)


def _picture(name: str, grid: Sequence[Feature], y: dict[str, Any], caption: str) -> Picture:
    stages = list(dict.fromkeys(feature.stage for feature in grid))
    places = {stage: place for place, stage in enumerate(stages, start=1)}
    traces: list[Any] = []
    for pooling, colour in zip(dict.fromkeys(feature.pooling for feature in grid), SERIES, strict=False):
        line = [feature for feature in grid if feature.pooling == pooling]
        at = [places[feature.stage] for feature in line]
        if len(grid[0].accuracies) > 1:
            traces.append(_seeds(at, line, colour))
        traces.append(_line(at, line, pooling, colour))
    chosen = [feature for feature in grid if feature.num_chosen]
    traces.append(
        ring([places[feature.stage] for feature in chosen], in_percent([feature.mean for feature in chosen]))
    )
    x = {
        "title": {"text": "stage, from shallow to deep"},
        "tickvals": list(places.values()),
        "automargin": True,
    }
    x |= {"ticktext": [label(stage) for stage in stages], "range": [0.5, len(stages) + 0.5]}
    return picture(name, traces, x, y, caption, height=340, margin={"l": 74, "r": 14, "t": 54, "b": 48})


def _line(at: Sequence[int], features: Sequence[Feature], pooling: str, colour: str) -> Any:
    return go.Scatter(
        x=at,
        y=in_percent([feature.mean for feature in features]),
        name=label(POOLINGS.get(pooling, pooling)),
        customdata=[label(feature.name) for feature in features],
        mode="lines+markers",
        line={"color": colour, "width": 2.5},
        marker={"size": 7},
        hovertemplate="%{customdata}: %{y:.1f} %<extra></extra>",
    )


def _seeds(at: Sequence[int], features: Sequence[Feature], colour: str) -> Any:
    """Every seed by itself, behind the line of the means."""
    told = [(x, each) for x, feature in zip(at, features, strict=True) for each in feature.accuracies]
    return go.Scatter(
        x=[x for x, _ in told],
        y=in_percent([each for _, each in told]),
        mode="markers",
        marker={"color": faint(colour, 0.4), "size": 4},
        hoverinfo="skip",
        showlegend=False,
    )


def _choice(grid: Sequence[Feature]) -> str:
    """What was chosen, by how many seeds where they differ, and what heads would have read otherwise."""
    chosen = sorted((feature for feature in grid if feature.num_chosen), key=lambda one: -one.num_chosen)
    several, num_seeds = len(chosen) > 1, len(grid[0].accuracies)
    told = " and ".join(
        f"{one.name}{f' by {one.num_chosen} of {num_seeds} seeds' if several else ''} ({_figure(one)})"
        for one in chosen
    )
    usual = next((feature for feature in grid if feature.name == USUAL and not feature.num_chosen), None)
    beside = f", where {USUAL} has {_figure(usual)}" if usual is not None else ""
    over = f"; in the mean over all {num_seeds} seeds, whatever each has chosen" if num_seeds > 1 else ""
    return f"{told} {'were' if several else 'was'} chosen{beside}{over}"


def _figure(feature: Feature) -> str:
    """Its accuracy; of several seeds the mean with its sample standard deviation."""
    if len(feature.accuracies) == 1:
        return percent(feature.mean)
    return f"{100 * feature.mean:.1f} ± {100 * stdev(feature.accuracies):.1f}{GAP}%"


def _clouds(record: Record, material: Material) -> str:
    """How many clouds the figures rest on, where it is known."""
    clouds = material.clouds_in(*dataset_of(record, ACCURACY))
    return f"; on {clouds:,} validation clouds" if clouds else ""
