"""A study on the page: which start helps, by how much and how surely, in tables and plots.

Every table belongs to one route and number of labels, and every column to one protocol: figures of two
protocols are never mixed. Differences are told in points, hundredths of what is measured.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from pointlab.report.cells import told_labels
from pointlab.report.collect import Material
from pointlab.report.figures import Picture
from pointlab.report.study_finding import points, verdict_of
from pointlab.report.study_plots import difference_picture, few_shot_pictures
from pointlab.report.wording import GAP, duration, percent
from pointlab.storage import Record
from pointlab.study.comparison import Row


@dataclass(frozen=True)
class CellText:
    """A group of seeds in words; `verdict` is better or worse where the interval leaves out 0."""

    value: str
    difference: str
    verdict: str


@dataclass(frozen=True)
class StudyTable:
    """Rows of starts and backbones; a cell for each protocol."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, str, tuple[CellText | None, ...]], ...]
    captions: tuple[str, ...]
    """What zero-shot figures in it rest on."""


@dataclass(frozen=True)
class StudySection:
    """All that the page tells of one study."""

    record: Record
    pooled: StudyTable
    tables: tuple[StudyTable, ...]
    pictures: tuple[Picture, ...]
    costs: tuple[tuple[str, str, tuple[str, ...]], ...]
    """Start and backbone of a pretraining; samples, clouds encoded, steps and device time, in the mean."""
    cells: tuple[tuple[tuple[str, ...], str, str], ...]
    """Place, figure or outcome, and run of every cell."""
    failures: tuple[tuple[str, tuple[str, ...]], ...]
    """Every error, and the runs of the cells that failed with it."""
    note: str


def study_sections(material: Material) -> list[StudySection]:
    """One for every study on the page."""
    studies = [record for record in material.records if record.kind == "study"]
    return [_section(number, record) for number, record in enumerate(studies)]


def _section(number: int, record: Record) -> StudySection:
    rows = record.curves["comparison"]
    name = f"study-{number}"
    return StudySection(
        record=record,
        pooled=pooled_table(record),
        tables=route_tables(record),
        pictures=(*difference_picture(name, record.curves["pooled"]), *few_shot_pictures(name, rows)),
        costs=tuple(_costs(record.curves["cells"])),
        cells=tuple(_cell(row, record.notes["measure"]) for row in record.curves["cells"]),
        failures=tuple(_failures(record.curves["cells"])),
        note=_note([*record.curves["pooled"], *rows]),
    )


def pooled_table(record: Record) -> StudyTable:
    """Differences to the baseline over all routes, labels and seeds."""
    title = f"Differences to {record.notes['baseline']} over all routes, labels and seeds"
    return _table(title, record.curves["pooled"], record.curves.get("words", []))


def route_tables(record: Record) -> tuple[StudyTable, ...]:
    """What every start reaches, in a table for each route and number of labels."""
    return tuple(_route_tables(record.curves["comparison"], record.curves.get("words", [])))


def _failures(cells: Sequence[Row]) -> Iterator[tuple[str, tuple[str, ...]]]:
    """One entry for all cells that failed alike, such as those of one pretraining."""
    for error in dict.fromkeys(str(row["error"]) for row in cells if row["error"]):
        yield error, tuple(str(row["run"]) for row in cells if row["error"] == error)


def _route_tables(rows: Sequence[Row], words: Sequence[Row]) -> Iterator[StudyTable]:
    """A table for each route and number of labels."""
    for route in dict.fromkeys(str(row["route"]) for row in rows):
        of_route, told_of_route = ([row for row in some if row["route"] == route] for some in (rows, words))
        for labels in dict.fromkeys(str(row["samples_per_class"]) for row in of_route):
            shown = [row for row in of_route if row["samples_per_class"] == labels]
            yield _table(f"{route}, {told_labels(labels)}", shown, told_of_route)


def _table(title: str, rows: Sequence[Row], words: Sequence[Row]) -> StudyTable:
    """Backbone by backbone; in the order in which levels first appear."""
    protocols = tuple(dict.fromkeys(str(row["protocol"]) for row in rows))
    found = {(str(row["backbone"]), str(row["start"]), str(row["protocol"])): row for row in rows}
    places = dict.fromkeys((backbone, start) for backbone, start, _ in found)
    backbones = list(dict.fromkeys(backbone for backbone, _ in places))
    lines = [
        (start, backbone, tuple(_text(found.get((backbone, start, protocol))) for protocol in protocols))
        for backbone, start in sorted(places, key=lambda place: backbones.index(place[0]))
    ]
    columns = tuple(name.replace("-", " ") for name in protocols)
    captions = [_caption(row) for row in words if row["protocol"] in protocols]
    return StudyTable(title, columns, tuple(lines), tuple(dict.fromkeys(captions)))


def _caption(row: Row) -> str:
    return f"{str(row['protocol']).replace('-', ' ')} of {row['starts']}: {row['told']}"


def _text(row: Row | None) -> CellText | None:
    if row is None:
        return None
    value = _mean(row) if "mean" in row else f"{row['pairs']:.0f} pairs, {row['clusters']:.0f} clusters"
    if row.get("best", "") != "":
        value += f"; best of seeds {percent(float(row['best']))}"
    return CellText(value, "" if row["difference"] == "" else points(row), verdict_of(row))


def _mean(row: Row) -> str:
    if row["deviation"] == "":
        return percent(float(row["mean"]))
    return f"{100 * float(row['mean']):.1f} ± {100 * float(row['deviation']):.1f}{GAP}% ({row['seeds']:.0f})"


def _costs(cells: Sequence[Row]) -> Iterator[tuple[str, str, tuple[str, ...]]]:
    """Each pretraining counts once, however many cells start from it."""
    pretrainings = {
        (row["start"], row["backbone"], row["pretraining"]): row
        for row in cells
        if row["pretraining_samples"] != ""
    }
    for start, backbone in dict.fromkeys((start, backbone) for start, backbone, _ in pretrainings):
        rows = [row for key, row in pretrainings.items() if key[:2] == (start, backbone)]
        counts = (f"{_mean_of(rows, f'pretraining_{what}'):,.0f}" for what in ("samples", "clouds", "steps"))
        yield str(start), str(backbone), (*counts, duration(_mean_of(rows, "pretraining_seconds")))


def _mean_of(rows: Sequence[Row], column: str) -> float:
    return sum(float(row[column]) for row in rows) / len(rows)


def _cell(row: Row, measure: str) -> tuple[tuple[str, ...], str, str]:
    place = (row["route"], row["backbone"], row["samples_per_class"], row["protocol"], row["start"])
    value = row.get(measure, "")
    told = percent(float(value)) if value != "" else str(row["outcome"])
    return (*map(str, place), f"{row['seed']:.0f}"), told, str(row["run"])


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
