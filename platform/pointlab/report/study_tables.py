"""The tables of a study: rows of starts and backbones, columns of protocols, every figure with its cells.

A table belongs to one measure, one route and one number of labels. A cell that failed stands in it in red.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from pointlab.experiment.matrix import ALL
from pointlab.report.cells import told_labels
from pointlab.report.chosen_ends import ends_by_start
from pointlab.report.measures import by_measure, measures_of, of_measure, pooled_by_measure
from pointlab.report.study_finding import points, together, verdict_of
from pointlab.report.wording import GAP, percent
from pointlab.storage import Record
from pointlab.study.comparison import Row

Key = tuple[str, str, str]
"""Backbone, start and protocol: a place in a table."""


@dataclass(frozen=True)
class CellText:
    """A group of seeds in words; `verdict` is better or worse where the interval leaves out 0."""

    value: str
    difference: str = ""
    verdict: str = ""
    number: float | None = None
    """What a column is sorted by."""
    bootstrap: str = ""
    """Of a pooled difference, the interval of resampled clusters, in points."""
    seeds: tuple[tuple[str, str], ...] = ()
    """Seed and anchor of every cell that the figure rests on."""
    failed: tuple[tuple[str, str], ...] = ()
    """Anchor and error of the cells that failed here."""
    levels: tuple[str, ...] = ()
    """What the rows of the cells say that a pooled figure rests on, its start, backbone and protocol."""


@dataclass(frozen=True)
class StudyTable:
    """Rows of starts and backbones; a cell for each protocol."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, str, tuple[CellText | None, ...]], ...]
    captions: tuple[str, ...]
    """What rows of all backbones are over, what zero-shot figures rest on, which mixtures mix nothing."""


def pooled_tables(record: Record) -> tuple[StudyTable, ...]:
    """Differences to the baseline over all routes, labels and seeds, in a table for each measure."""
    title = f"Differences to {record.notes['baseline']} over all routes, labels and seeds"
    words = record.curves.get("words", [])
    tables = []
    for measure, rows in pooled_by_measure(record).items():
        table = _table(title + of_measure(measure, record), {_key(row): _text(row) for row in rows}, words)
        minded = together(record) if any(row["backbone"] == ALL for row in rows) else ""
        tables.append(replace(table, captions=(minded, *table.captions)) if minded else table)
    return tuple(tables)


def route_tables(
    record: Record, name: str = "study-0", cells: Mapping[str, Record] | None = None
) -> tuple[StudyTable, ...]:
    """What every start reaches, in a table for each measure, route and number of labels.

    With the records of `cells`, by run, a table says below where mixtures chose an end and mix nothing.
    """
    return tuple(_route_tables(record, name, cells or {}))


def cell_anchor(name: str, number: int) -> str:
    """Where the page tells of a cell of the study that it calls so."""
    return f"cell-{name}-{number}"


def _route_tables(record: Record, name: str, records: Mapping[str, Record]) -> Iterator[StudyTable]:
    compared = by_measure(record, "comparison")
    cells = [{**row, "anchor": cell_anchor(name, n)} for n, row in enumerate(record.curves["cells"])]
    for measure in measures_of(record):
        rows = compared.get(measure, [])
        routes = dict.fromkeys(str(row["route"]) for row in rows)
        if measure == record.notes["measure"]:  # of routes at which nothing ended well, too
            known = {row["route"] for row in record.curves["comparison"]}
            broken = (row for row in cells if row["outcome"] == "failed" and row["route"] not in known)
            routes |= dict.fromkeys(str(row["route"]) for row in broken)
        for route in routes:
            words = [row for row in record.curves.get("words", []) if row["route"] == route]
            here, tried = ([row for row in some if row["route"] == route] for some in (rows, cells))
            failed = [row for row in tried if row["outcome"] == "failed"]
            for labels in dict.fromkeys(str(row["samples_per_class"]) for row in (*here, *failed)):
                found = [[r for r in some if r["samples_per_class"] == labels] for some in (here, tried)]
                title = f"{route}, {told_labels(labels)}{of_measure(measure, record)}"
                table = _table(title, _texts(measure, *found), words)
                yield replace(table, captions=(*table.captions, *_ends(found[1], records)))


def _ends(cells: Sequence[Row], records: Mapping[str, Record]) -> Iterator[str]:
    """Of each protocol whose mixtures chose an end somewhere."""
    for protocol in dict.fromkeys(str(row["protocol"]) for row in cells):
        told = ends_by_start([row for row in cells if row["protocol"] == protocol], records)
        if told:
            yield f"{protocol.replace('-', ' ')}: {told}"


def _texts(measure: str, rows: Sequence[Row], cells: Sequence[Row]) -> dict[Key, CellText]:
    """What stands at every place, whose cells failed where no figure can be had."""
    groups: dict[Key, list[Row]] = {}
    for cell in cells:
        groups.setdefault(_key(cell), []).append(cell)
    texts = {}
    for row in rows:
        texts[_key(row)] = _text(row, measure, groups.get(_key(row), []))
    for key, group in groups.items():
        if key not in texts and (failed := _failed(group)):
            texts[key] = CellText("failed", failed=failed)
    return texts


def _key(row: Row) -> Key:
    return str(row["backbone"]), str(row["start"]), str(row["protocol"])


def _table(title: str, found: dict[Key, CellText], words: Sequence[Row]) -> StudyTable:
    """Backbone by backbone; in the order in which levels first appear."""
    protocols = tuple(dict.fromkeys(protocol for *_, protocol in found))
    backbones = list(dict.fromkeys(backbone for backbone, *_ in found))
    places = dict.fromkeys((backbone, start) for backbone, start, _ in found)
    lines = [
        (start, backbone, tuple(found.get((backbone, start, protocol)) for protocol in protocols))
        for backbone, start in sorted(places, key=lambda place: backbones.index(place[0]))
    ]
    columns = tuple(name.replace("-", " ") for name in protocols)
    captions = [_caption(row) for row in words if row["protocol"] in protocols]
    return StudyTable(title, columns, tuple(lines), tuple(dict.fromkeys(captions)))


def _caption(row: Row) -> str:
    return f"{str(row['protocol']).replace('-', ' ')} of {row['starts']}: {row['told']}"


def _text(row: Row, measure: str = "", cells: Sequence[Row] = ()) -> CellText:
    is_mean = "mean" in row
    value = _mean(row) if is_mean else f"{_count(row, 'pairs')}, {_count(row, 'clusters')}"
    if row.get("best", "") != "":
        value += f"; best of seeds {percent(float(row['best']))}"
    number = row["mean"] if is_mean else row["difference"]
    return CellText(
        value,
        "" if row["difference"] == "" else points(row),
        verdict_of(row),
        None if number == "" else float(number),
        "" if is_mean else _bootstrap(row),  # of three seeds it is but the least and the greatest
        tuple((f"{c['seed']:.0f}", str(c["anchor"])) for c in cells if c.get(measure, "") != ""),
        _failed(cells),
        () if is_mean else tuple(level for level in _key(row) if level != ALL),
    )


def _failed(cells: Sequence[Row]) -> tuple[tuple[str, str], ...]:
    return tuple((str(row["anchor"]), str(row["error"])) for row in cells if row["outcome"] == "failed")


def _bootstrap(row: Row) -> str:
    if row.get("bootstrap_low", "") == "":
        return ""
    return f"[{100 * float(row['bootstrap_low']):+.1f}, {100 * float(row['bootstrap_high']):+.1f}]"


def _count(row: Row, what: str) -> str:
    return f"1 {what.removesuffix('s')}" if row[what] == 1 else f"{row[what]:.0f} {what}"


def _mean(row: Row) -> str:
    if row["deviation"] == "":
        return percent(float(row["mean"]))
    return f"{100 * float(row['mean']):.1f} ± {100 * float(row['deviation']):.1f}{GAP}% ({row['seeds']:.0f})"
