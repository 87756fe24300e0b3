"""A study on the page: which start helps, by how much and how surely, at what cost, in tables and plots.

Every table belongs to one measure, route and number of labels, and every column to one protocol: figures of
two measures or protocols are never mixed. Differences are told in points, hundredths of what is measured.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from pointlab.report.collect import Material
from pointlab.report.figures import Picture
from pointlab.report.measures import (
    by_measure,
    measure_words,
    measures_of,
    of_measure,
    pooled_by_measure,
)
from pointlab.report.study_costs import COLUMNS, cost_pictures, cost_rows
from pointlab.report.study_finding import verdict_of
from pointlab.report.study_plots import difference_picture, few_shot_pictures
from pointlab.report.study_ranks import RankRow, rank_rows, told_agreement
from pointlab.report.study_tables import StudyTable, cell_anchor, pooled_tables, route_tables
from pointlab.report.wording import percent
from pointlab.storage import Record
from pointlab.study.comparison import Row


@dataclass(frozen=True)
class CellRow:
    """A cell by itself: where it lies, every measure of it or what became of it, and its run."""

    anchor: str
    place: tuple[str, ...]
    seed: int
    figures: tuple[tuple[str, float | str], ...]
    outcome: str
    error: str
    run: str


@dataclass(frozen=True)
class StudySection:
    """All that the page tells of one study."""

    record: Record
    name: str
    """Its own on the page."""
    measures: tuple[str, ...]
    pooled: tuple[StudyTable, ...]
    tables: tuple[StudyTable, ...]
    pictures: tuple[Picture, ...]
    few_labels: tuple[Picture, ...]
    cost_pictures: tuple[Picture, ...]
    cost_columns: tuple[str, ...]
    costs: list[tuple[tuple[str, ...], tuple[tuple[str, float | str], ...]]]
    ranks: list[RankRow]
    agreement: tuple[str, ...]
    cells: tuple[CellRow, ...]
    failures: tuple[tuple[str, tuple[str, ...]], ...]
    """Every error, and the runs of the cells that failed with it."""
    note: str


def study_sections(material: Material) -> list[StudySection]:
    """One for every study on the page."""
    studies = [record for record in material.records if record.kind == "study"]
    return [_section(f"study-{number}", record, material.cells) for number, record in enumerate(studies)]


def _section(name: str, record: Record, cells: Mapping[str, Record]) -> StudySection:
    measures = measures_of(record)
    return StudySection(
        record=record,
        name=name,
        measures=tuple(measure_words(measure) for measure in measures),
        pooled=pooled_tables(record),
        tables=route_tables(record, name, cells),
        pictures=tuple(_differences(name, record)),
        few_labels=tuple(_few_labels(name, record)),
        cost_pictures=tuple(cost_pictures(name, record)),
        cost_columns=tuple(heading for _, heading in COLUMNS),
        costs=cost_rows(record),
        ranks=rank_rows(record),
        agreement=tuple(told_agreement(record)),
        cells=tuple(_cells(name, record.curves["cells"], measures)),
        failures=tuple(_failures(record.curves["cells"])),
        note=_note([*record.curves["pooled"], *record.curves["comparison"]]),
    )


def _differences(name: str, record: Record) -> Iterator[Picture]:
    for number, (measure, rows) in enumerate(pooled_by_measure(record).items()):
        yield from difference_picture(f"{name}-{number}", rows, of_measure(measure, record))


def _few_labels(name: str, record: Record) -> Iterator[Picture]:
    for number, (measure, rows) in enumerate(by_measure(record, "comparison").items()):
        yield from few_shot_pictures(f"{name}-{number}", rows, measure_words(measure))


def _failures(cells: Sequence[Row]) -> Iterator[tuple[str, tuple[str, ...]]]:
    """One entry for all cells that failed alike, such as those of one pretraining."""
    for error in dict.fromkeys(str(row["error"]) for row in cells if row["error"]):
        yield error, tuple(str(row["run"]) for row in cells if row["error"] == error)


def _cells(name: str, rows: Sequence[Row], measures: Sequence[str]) -> Iterator[CellRow]:
    levels = ("route", "backbone", "samples_per_class", "protocol", "start")
    for number, row in enumerate(rows):
        values = [row.get(measure, "") for measure in measures]
        yield CellRow(
            cell_anchor(name, number),
            tuple(str(row[level]) for level in levels),
            int(row["seed"]),
            tuple(("" if value == "" else percent(float(value)), value) for value in values),
            str(row["outcome"]),
            str(row["error"]),
            str(row["run"]),
        )


def _note(rows: Iterable[Row]) -> str:
    compared = [row for row in rows if row["difference"] != ""]
    intervals = [row for row in compared if row["low"] != ""]
    if not compared:
        return "Nothing is compared: the baseline has no figure at the place of any other start."
    if not intervals:
        return "No interval can be had: every group has one seed."
    clear = sum(verdict_of(row) != "" for row in intervals)
    return (
        f"{clear} of {len(intervals)} intervals in these tables, the pooled ones among them, leave out 0;"
        f" without any effect about {0.05 * len(intervals):.0f} would by chance."
    )
