"""The tables of a study for a paper: differences, every route, ranks, costs and all cells.

As on the page, figures of two measures share no table and those of two protocols no column; the best start of
each backbone is bold, with those that print alike.
"""

from collections.abc import Callable, Iterator, Sequence

from pointlab.report.cells import told_labels
from pointlab.report.measures import by_measure, measures_of, pooled_by_measure
from pointlab.report.paper.cost_tables import cost_tables
from pointlab.report.paper.latex import Cell, Line, Number
from pointlab.report.paper.rank_tables import rank_tables
from pointlab.report.paper.tables import MISSING, PaperTable, best_of, file_name, in_blocks, share
from pointlab.report.wording import measure_name
from pointlab.storage import Record
from pointlab.study.comparison import Row


def study_tables(name: str, record: Record) -> Iterator[PaperTable]:
    """Those that the study has rows for; names of files begin with `name`."""
    yield from _differences(name, record)
    yield from _routes(name, record)
    yield from rank_tables(name, record)
    yield from cost_tables(name, record)
    yield _cells(name, record)


def _differences(name: str, record: Record) -> Iterator[PaperTable]:
    for measure, rows in pooled_by_measure(record).items():
        caption = (
            f"Mean difference to {record.notes['baseline']} in points of {measure_name(measure)} ({measure})"
            " over routes, labels and seeds, with its 95 % interval."
        )
        yield _matrix(file_name(name, "differences", measure), caption, rows, "difference", _difference)


def _routes(name: str, record: Record) -> Iterator[PaperTable]:
    for measure, rows in by_measure(record, "comparison").items():
        for route, labels in dict.fromkeys((str(r["route"]), str(r["samples_per_class"])) for r in rows):
            here = [r for r in rows if (r["route"], r["samples_per_class"]) == (route, labels)]
            caption = (
                f"{route}, {told_labels(labels)}: {measure_name(measure)} ({measure}) in per cent, mean ±"
                " sample standard deviation over seeds."
            )
            yield _matrix(file_name(name, route, labels, measure), caption, here, "mean", _mean)


def _matrix(
    name: str,
    caption: str,
    rows: Sequence[Row],
    measured: str,
    told: Callable[[Row, frozenset[float]], Number],
) -> PaperTable:
    """Starts by protocols, backbone by backbone."""
    protocols = list(dict.fromkeys(str(row["protocol"]) for row in rows))
    backbones = dict.fromkeys(str(row["backbone"]) for row in rows)
    found = {(str(row["backbone"]), str(row["protocol"]), str(row["start"])): row for row in rows}
    lines: list[Line] = []
    for backbone in backbones:
        best = {
            protocol: best_of(row[measured] for key, row in found.items() if key[:2] == (backbone, protocol))
            for protocol in protocols
        }
        for start in dict.fromkeys(start for of, _, start in found if of == backbone):
            here = {protocol: found.get((backbone, protocol, start)) for protocol in protocols}
            cells: list[Cell] = [
                MISSING if row is None or row[measured] == "" else told(row, best[protocol])
                for protocol, row in here.items()
            ]
            lines.append((backbone, start, *cells))
    heads = [_in_words(protocol, rows) for protocol in protocols]
    return PaperTable(name, caption, ("Backbone", "Start", *heads), in_blocks(lines, 0), tuple(rows))


def _in_words(protocol: str, rows: Sequence[Row]) -> str:
    """The protocol's name; where it has habits of released code, that too."""
    is_legacy = any(row["protocol"] == protocol and row.get("best", "") != "" for row in rows)
    return protocol.replace("-", " ") + (" (legacy)" if is_legacy else "")


def _mean(row: Row, best: frozenset[float]) -> Number:
    return share(float(row["mean"]), row["deviation"], is_best=row["mean"] in best)


def _difference(row: Row, best: frozenset[float]) -> Number:
    low, high = row["low"], row["high"]
    interval = "" if low == "" else rf"\ [{100 * float(low):+.1f},\,{100 * float(high):+.1f}]"
    return Number(f"{100 * float(row['difference']):+.1f}", interval, row["difference"] in best)


def _cells(name: str, record: Record) -> PaperTable:
    """Every cell, those that failed or did not run among them."""
    rows = record.curves["cells"]
    measures = [measure for measure in measures_of(record) if any(row.get(measure, "") != "" for row in rows)]
    levels = ("route", "backbone", "samples_per_class", "protocol", "start")
    lines: list[Line] = [
        (
            *(str(row[level]) for level in levels),
            Number(f"{row['seed']:.0f}"),
            *(MISSING if row.get(each, "") == "" else share(float(row[each])) for each in measures),
            str(row["outcome"]),
        )
        for row in rows
    ]
    columns = ("Route", "Backbone", "Labels", "Protocol", "Start", "Seed", *measures, "Outcome")
    caption = "Every cell of the study, measures in per cent; CSV names the run of each."
    return PaperTable(file_name(name, "cells"), caption, columns, in_blocks(lines, 0), tuple(rows))
