"""The soup's curve: validation accuracy of every average that was tried, in the order of the recipe."""

from dataclasses import dataclass
from typing import Any

import plotly.graph_objects as go

from pointlab.report.coefficients import COLOURS
from pointlab.report.collect import Material
from pointlab.report.figures import Picture, in_percent, label, picture, ring
from pointlab.report.results import group_by_seed
from pointlab.report.sweeps import SPLITS
from pointlab.report.wording import percent
from pointlab.storage import Record

Row = dict[str, Any]


@dataclass(frozen=True)
class SoupSection:
    """What one soup tried."""

    record: Record
    told: str
    """How many ingredients it has, and what that gained over the best of them alone."""
    picture: Picture


def soup_sections(material: Material) -> list[SoupSection]:
    """One for every soup among the page's records; each seed has tried its own averages."""
    soups = [record for record in material.records if record.curves.get("soup")]
    ordered = [record for group in group_by_seed(soups) for record in group.records]
    return [
        SoupSection(record, _gain(record.curves["soup"]), _curve(f"soup-{number}", record))
        for number, record in enumerate(ordered)
    ]


def _gain(rows: list[Row]) -> str:
    """In words, by the score that the recipe itself compares."""
    alone, chosen = [row for row in rows if row["num_members"] == 1], _chosen(rows)
    best = max(alone, key=lambda row: float(row["score"]))
    best_told = f"the best single model (ingredient {best['members']}, {percent(float(best['score']))})"
    if chosen["num_members"] == 1:
        return f"The soup is one of {len(alone)} ingredients alone, and nothing is averaged: {best_told}."
    points = 100 * (float(chosen["score"]) - float(best["score"]))
    return (
        f"The soup has {chosen['num_members']:.0f} of {len(alone)} ingredients, and a validation score of"
        f" {percent(float(chosen['score']))}: {points:+.1f} points against {best_told}."
    )


def _chosen(rows: list[Row]) -> Row:
    """What the recipe ended with: the last average that was kept."""
    return [row for row in rows if row["kept"] == "yes"][-1]


def _curve(name: str, record: Record) -> Picture:
    rows: list[Row] = record.curves["soup"]
    splits = [split for split in SPLITS if all(_metric(split) in row for row in rows)]
    traces = [_line(rows, split) for split in splits]
    last = _chosen(rows)
    ends = in_percent([float(last[_metric(split)]) for split in splits])
    traces.append(ring([_members(last)] * len(ends), ends))
    x = {"title": {"text": "ingredients"}, "type": "category", "tickangle": 0}
    y = {"title": {"text": "validation accuracy"}, "ticksuffix": " %"}
    caption = (
        "Every average that was tried, by the numbers of its ingredients, in the order of the recipe. Hollow:"
        " the last of them was left out again. The ring is what the recipe ended with, chosen by these very"
        f" figures: {record.notes.get('recipe', 'see its notes')}."
    )
    return picture(name, traces, x, y, caption, height=340)


def _line(rows: list[Row], split: str) -> Any:
    symbols = ["circle" if row["kept"] == "yes" else "circle-open" for row in rows]
    return go.Scatter(
        x=[_members(row) for row in rows],
        y=in_percent([float(row[_metric(split)]) for row in rows]),
        name=split,
        mode="lines+markers",
        line={"color": COLOURS[split], "width": 2},
        marker={"size": 9, "symbol": symbols},
        hovertemplate=f"%{{x}}: %{{y:.1f}} %<extra>{split}</extra>",
    )


def _members(row: Row) -> str:
    """The ingredients; plotly takes what looks like a number for one, so that a sign is put between."""
    return label(str(row["members"]).replace(", ", " + "))


def _metric(split: str) -> str:
    return f"{split}-validation/accuracy"
