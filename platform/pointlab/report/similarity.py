"""How alike stages are: linear CKA within every subject of an analysis, and between any two of them."""

from collections.abc import Sequence
from itertools import combinations
from typing import Any

import plotly.graph_objects as go

from pointlab.report.figures import NEUTRAL, Picture, label, picture
from pointlab.report.layer_plots import stage_axis
from pointlab.report.layers import Layers
from pointlab.storage import Record

SHADES = [[0, "#31356e"], [0.4, "#2f7fc4"], [0.7, "#4fbf9f"], [1, "#f2dd5c"]]
"""Colours from unlike to alike that show on white and on black."""
BAR = {"thickness": 10, "outlinewidth": 0, "tickvals": [0, 0.5, 1]}
MAP = {"height": 330, "margin": {"l": 80, "r": 8, "t": 40, "b": 80}}
Values = dict[tuple[str, str, str, str], float]


class Similarity:
    """CKA of any two stages, whichever of them the record names first."""

    def __init__(self, record: Record) -> None:
        """Read the table of the record; a pair may stand in it once or in both orders."""
        self._values: Values = {}
        for row in record.curves.get("cka", []):
            first = str(row["subject_a"]), str(row["stage_a"])
            second = str(row["subject_b"]), str(row["stage_b"])
            if row["value"] != "":
                self._values[*first, *second] = self._values[*second, *first] = float(row["value"])

    def of(self, first: tuple[str, str], second: tuple[str, str]) -> float | None:
        """Of two stages, each given with its subject; None where it was not measured."""
        return self._values.get((*first, *second))

    def holds(self, first: Layers, second: Layers) -> bool:
        """Whether some stage of the first was compared with one of the second."""
        return any(
            self.of((first.subject, one), (second.subject, other)) is not None
            for one in first.stages
            for other in second.stages
        )

    def by_stage(self, first: Layers, second: Layers) -> list[float | None]:
        """Of every stage of the first with the stage of the same name of the second."""
        return [self.of((first.subject, stage), (second.subject, stage)) for stage in first.stages]


def similarity_pictures(
    name: str, subjects: Sequence[Layers], similarity: Similarity
) -> tuple[list[Picture], list[Picture]]:
    """What is shown at once (stage by stage, and within each subject), and the maps between two subjects."""
    pairs = list(combinations(subjects, 2))
    within = [
        _map(f"{name}-cka-{row}", one, one, similarity)
        for row, one in enumerate(subjects)
        if similarity.holds(one, one)
    ]
    between = [
        _map(f"{name}-cka-between-{row}", first, second, similarity)
        for row, (first, second) in enumerate(pairs)
        if similarity.holds(first, second)
    ]
    alike = [pair for pair in _of_interest(subjects) if similarity.holds(*pair)]
    lines = [_by_stage(f"{name}-cka-stages", alike, similarity)] if alike else []
    return [*lines, *within], between


def _of_interest(subjects: Sequence[Layers]) -> list[tuple[Layers, Layers]]:
    """Ends of fine-tunings after their starts, then others of the first's stages after the first."""
    tuned = [
        (before, after) for before, after in combinations(subjects, 2) if after.started_as == before.subject
    ]
    first, *others = subjects
    rest = [(first, one) for one in others if one.stages == first.stages]
    return tuned + [(first, one) for first, one in rest if one.started_as != first.subject]


def _map(name: str, first: Layers, second: Layers, similarity: Similarity) -> Picture:
    """Stages of the first upwards, of the second to the right."""
    values = [
        [similarity.of((first.subject, up), (second.subject, right)) for right in second.stages]
        for up in first.stages
    ]
    heat = go.Heatmap(
        x=[label(stage) for stage in second.stages],
        y=[label(stage) for stage in first.stages],
        z=[[None if value is None else round(value, 4) for value in row] for row in values],
        zmin=0,
        zmax=1,
        colorscale=SHADES,
        colorbar=BAR,
        xgap=1,
        ygap=1,
        hovertemplate=f"{label(first.subject)} %{{y}}<br>{label(second.subject)} %{{x}}: %{{z:.3f}}"
        "<extra></extra>",
    )
    x, y = (
        {"title": {"text": label(one.subject)}, "automargin": True, "type": "category"}
        for one in (second, first)
    )
    return picture(name, [heat], {**x, "tickangle": -45}, y, _caption(first, second), **MAP)


def _caption(first: Layers, second: Layers) -> str:
    if first is second:
        return f"Within {first.subject}: a bright block is a run of stages that say much the same."
    told = (
        "where the diagonal is dark, the same stage says different things"
        if first.stages == second.stages
        else "bright where stages of two networks say much the same"
    )
    return f"{first.subject} against {second.subject}: {told}."


def _by_stage(name: str, pairs: Sequence[tuple[Layers, Layers]], similarity: Similarity) -> Picture:
    """A line for each pair in the colour of its second; the legend says what the two dashes mean."""
    lines = [_line(pair, similarity.by_stage(*pair)) for pair in pairs]
    words = {_dash(*pair): _word(*pair) for pair in pairs}
    keys = [
        go.Scatter(x=[None], y=[None], name=word, mode="lines", line={"color": NEUTRAL, "dash": dash})
        for dash, word in words.items()
    ]
    y = {"title": {"text": "CKA of the same stage"}, "range": [0, 1.05]}
    caption = (
        "How alike the same stage is in two subjects, up to rotation and scale: 1 is the same representation."
        " A line has the colour of the second."
    )
    layout = {"height": 330, "margin": {"l": 64, "r": 14, "t": 34, "b": 56}, "showlegend": True}
    return picture(name, [*lines, *keys], stage_axis([first for first, _ in pairs]), y, caption, **layout)


def _dash(first: Layers, second: Layers) -> str:
    return "dot" if second.started_as == first.subject else "solid"


def _word(first: Layers, second: Layers) -> str:
    return "against its start" if second.started_as == first.subject else f"against {label(first.subject)}"


def _line(pair: tuple[Layers, Layers], values: Sequence[float | None]) -> Any:
    first, second = pair
    title = label(f"{first.subject} and {second.subject}")
    return go.Scatter(
        x=list(range(1, len(values) + 1)),
        y=[None if value is None else round(value, 4) for value in values],
        customdata=[label(stage) for stage in first.stages],
        name=title,
        showlegend=False,
        mode="lines+markers",
        line={"color": second.colour, "dash": _dash(*pair), "width": 2.5},
        marker={"size": 7},
        hovertemplate=f"{title}<br>%{{customdata}}: %{{y:.3f}}<extra></extra>",
    )
