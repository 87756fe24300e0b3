"""Every retrieval on the page: its figures beside chance, and rows of pictures of what some queries found."""

import base64
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby
from typing import Any

import numpy as np
from markupsafe import Markup

from pointlab.experiment.retrieved import ShownFiles, read_shown
from pointlab.report.collect import Material
from pointlab.report.retrieval_findings import KINDS, bounds, known, measured
from pointlab.report.thumbnails import thumbnail
from pointlab.report.views import LabelledCloud, view_together
from pointlab.report.wording import percent
from pointlab.storage import Record, Storage

TITLES = {
    "text_to_shape": "From text to shape",
    "image_to_shape": "From picture to shape",
    "image_to_class": "From picture to class",
}
MEASURES = {
    "recall_at_1": "right at rank 1",
    "recall_at_5": "right among the first 5",
    "recall_at_10": "right among the first 10",
    "median_rank": "median rank of the first right one",
}


@dataclass(frozen=True)
class FigureRow:
    """One measure of one kind of queries, in words."""

    title: str
    measure: str
    value: str
    interval: str
    chance: str
    queries: str


@dataclass(frozen=True)
class FoundShape:
    """One of the nearest shapes: its drawing, what it is called and how near it is."""

    drawing: Markup
    label: str
    cosine: str
    is_right: bool


@dataclass(frozen=True)
class QueryRow:
    """A query, as a text or as a picture, with the shapes nearest to it."""

    text: str
    picture: Markup
    rank: str
    shapes: tuple[FoundShape, ...]


@dataclass(frozen=True)
class RetrievalSection:
    """One retrieval: its figures, and the rows of pictures of each kind of query."""

    record: Record
    num_shapes: str
    figures: tuple[FigureRow, ...]
    kinds: tuple[tuple[str, str, tuple[QueryRow, ...]], ...]
    """Title, what counts as right, rows."""


def retrieval_sections(storage: Storage, material: Material) -> list[RetrievalSection]:
    """A section for every retrieval among the page's records."""
    return [_section(storage, record) for record in material.records if record.kind == "retrieve"]


def _section(storage: Storage, record: Record) -> RetrievalSection:
    kinds, files = measured(record), read_shown(storage, record.run)
    return RetrievalSection(
        record=record,
        num_shapes=f"{known(record, kinds[0], 'shapes'):,.0f}",
        figures=tuple(_figure(record, kind, measure) for kind in kinds for measure in MEASURES),
        kinds=tuple(
            (TITLES[kind], KINDS[kind][1], tuple(_query_rows(record, kind, files)))
            for kind in kinds
            if kind in record.curves
        ),
    )


def _figure(record: Record, kind: str, measure: str) -> FigureRow:
    is_recall = measure.startswith("recall")
    low, high = bounds(record, kind, measure) if is_recall else (0.0, 0.0)
    return FigureRow(
        title=TITLES[kind],
        measure=MEASURES[measure],
        value=_words(measure, known(record, kind, measure)),
        interval=f"{percent(low)} to {percent(high)}" if is_recall else "",
        chance=_words(measure, known(record, kind, f"chance/{measure}")),
        queries=f"{known(record, kind, 'queries'):,.0f}",
    )


def _words(measure: str, value: float) -> str:
    """Shares in percent, ranks as they are: whole."""
    return percent(value) if measure.startswith("recall") else f"{value:,.0f}"


def _query_rows(record: Record, kind: str, files: ShownFiles) -> Iterator[QueryRow]:
    """The rows of the table on this kind of queries, together by query."""
    num_shapes = known(record, kind, "shapes")
    for _, found in groupby(record.curves[kind], key=lambda row: row["query"]):
        rows = list(found)
        first = rows[0]
        yield QueryRow(
            text=str(first["text"]),
            picture=_picture(files, str(first["picture"]), str(first["picture_class"])),
            rank=f"first right one: rank {float(first['first_right']):,.0f} of {num_shapes:,.0f}",
            shapes=tuple(_shape(row, files) for row in rows),
        )


def _picture(files: ShownFiles, identity: str, class_name: str) -> Markup:
    """The picture of this cloud as an image of the page itself; nothing for a text."""
    if not identity:
        return Markup("")
    content = base64.b64encode(files.pictures[identity]).decode()
    shows = f"query: a picture of {class_name}" if class_name else "query: a picture"
    return Markup('<img src="data:image/jpeg;base64,{}" alt="{}">').format(content, shows)


def _shape(row: dict[str, Any], files: ShownFiles) -> FoundShape:
    label = row["caption"] or row["class"] or "no caption"
    is_right = bool(row["is_right"])
    (view,) = view_together([LabelledCloud(np.asarray(files.clouds[row["id"]]), None)])
    assert view is not None, "of a cloud that is there"
    described = f"rank {row['rank']:.0f}: {label}, {'right' if is_right else 'not right'}"
    return FoundShape(thumbnail(view, described), label, f"{row['cosine']:.3f}", is_right)
