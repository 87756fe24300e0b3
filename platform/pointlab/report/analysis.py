"""Every analysis on the page: what it found in sentences, plots over depth, maps, drawings and tables."""

from dataclasses import dataclass

from pointlab.report.analysis_findings import findings
from pointlab.report.collect import Material
from pointlab.report.embedding import class_colours, embedding_pictures
from pointlab.report.figures import Picture
from pointlab.report.layer_plots import depth_pictures
from pointlab.report.layers import Row, read_layers, read_shown
from pointlab.report.similarity import Similarity, similarity_pictures
from pointlab.report.wording import number, percent
from pointlab.storage import Record

MAPS_AT_ONCE = 6
"""Maps between two subjects that are not folded away: all of those of up to four subjects."""
COLUMNS = {
    "subject": "Subject",
    "stage": "Stage",
    "parameter": "Parameter",
    "width": "Width",
    "channels": "Channels",
    "size": "Values",
    "linear_accuracy": "Linear",
    "knn_accuracy": "kNN",
    "normal_error": "Normal error",
    "gradient_norm": "Gradient",
    "relative_gradient_norm": "Gradient / norm",
    "head": "Head",
    "drift": "Drift",
    "rankme": "RankMe",
    "effective_rank": "Effective rank",
}
"""Measures in the order of a table, with their headings."""
WORDS = ("subject", "stage", "parameter", "head")


@dataclass(frozen=True)
class Column:
    """The heading of one measure, and whether numbers stand below it."""

    heading: str
    is_number: bool


@dataclass(frozen=True)
class Table:
    """The columns that were measured, and every row in words."""

    columns: tuple[Column, ...]
    rows: tuple[tuple[str, ...], ...]


@dataclass(frozen=True)
class AnalysisSection:
    """One analysis; folded pictures are shown on demand."""

    record: Record
    findings: tuple[str, ...]
    depth: list[Picture]
    similarity: list[Picture]
    folded_similarity: list[Picture]
    embedding: list[Picture]
    folded_embedding: list[Picture]
    subjects: list[tuple[str, str]]
    """Names and colours."""
    classes: list[tuple[str, str]]
    """Names and colours."""
    stages: Table
    parameters: Table


def analysis_sections(material: Material) -> list[AnalysisSection]:
    """A section for every analysis among the page's records."""
    return [
        _section(f"analysis-{number}", record)
        for number, record in enumerate(material.records)
        if record.kind == "analyse"
    ]


def _section(name: str, record: Record) -> AnalysisSection:
    subjects, colours = read_layers(record), class_colours(record)
    similarity = Similarity(record)
    similar, between = similarity_pictures(name, subjects, similarity)
    deepest, others = embedding_pictures(name, record, subjects, colours)
    return AnalysisSection(
        record=record,
        findings=tuple(findings(subjects, similarity)),
        depth=depth_pictures(name, subjects, read_shown(record)),
        similarity=[*similar, *between[:MAPS_AT_ONCE]],
        folded_similarity=between[MAPS_AT_ONCE:],
        embedding=deepest,
        folded_embedding=others,
        subjects=[(one.subject, one.colour) for one in subjects],
        classes=list(colours.items()),
        stages=_table(record.curves["stages"]),
        parameters=_table(record.curves.get("parameters", [])),
    )


def _table(rows: list[Row]) -> Table:
    names = [name for name in COLUMNS if any(row.get(name, "") != "" for row in rows)]
    return Table(
        tuple(Column(COLUMNS[name], name not in WORDS) for name in names),
        tuple(tuple(_cell(name, row.get(name, "")) for name in names) for row in rows),
    )


def _cell(name: str, value: float | str) -> str:
    """A measure in words: shares in percent, angles in degrees, counts whole, the rest to three digits."""
    if isinstance(value, str):
        return value
    if name.endswith("accuracy") or name == "drift":
        return percent(value)
    if name == "normal_error":
        return f"{value:.1f}°"
    if name in ("rankme", "effective_rank"):
        return f"{value:.1f}"
    return number(value).replace("e-0", "e-")
