"""A study on the terminal, finished or not: the answer, what the starts gain and reach, how they rank."""

from collections.abc import Iterator, Sequence

from rich.markup import escape
from rich.table import Table

from pointlab.cli.plans import table_of_findings
from pointlab.report.study_tables import StudyTable, route_tables
from pointlab.storage import Record
from pointlab.study.comparison import Row


def tables_of_study(record: Record) -> Iterator[Table]:
    """What the starts gain over the baseline, what they reach on each route, and the order that results."""
    if record.curves["pooled"]:
        yield table_of_findings(record)
    yield from map(_table_of_route, route_tables(record))
    if rows := record.curves.get("ranking"):
        yield _table_of_ranks(rows)
    if rows := record.curves.get("agreement"):
        yield _table_of_agreement(rows)
    if errors := _errors(record.curves["cells"]):
        table = Table("cells that failed", "error", title="failures")
        for error, runs in errors.items():
            table.add_row(escape("\n".join(runs)), escape(error), style="red")
        yield table


def _table_of_route(found: StudyTable) -> Table:
    caption = escape("\n".join(found.captions))
    table = Table(
        "start", "backbone", *map(escape, found.columns), title=escape(found.title), caption=caption
    )
    for start, backbone, cells in found.rows:
        told = ("" if cell is None else f"{cell.value}\n{cell.difference}".strip() for cell in cells)
        table.add_row(*map(escape, (start, backbone, *told)))
    return table


def _table_of_ranks(rows: Sequence[Row]) -> Table:
    columns = ("measure", "protocol", "backbone", "routes", "start")
    title = "ranks, and the share of resampled seeds in which a start is first"
    caption = "of few seeds: no probability that the start is best"
    table = Table(*columns, "mean rank", "first in", title=title, caption=caption)
    for row in rows:
        share = "" if row["first_share"] == "" else f"{float(row['first_share']):.0%}"
        place = (escape(str(row[column])) for column in columns)
        table.add_row(*place, f"{float(row['mean_rank']):.2f}", share)
    return table


def _table_of_agreement(rows: Sequence[Row]) -> Table:
    columns = ("measure", "protocol", "backbone", "routes", "over")
    table = Table(*columns, "tau", "least", title="Kendall's tau between the orders of the starts")
    for row in rows:
        place = (escape(str(row[column])) for column in columns)
        table.add_row(*place, f"{float(row['tau']):.2f}", f"{float(row['least']):.2f}")
    return table


def _errors(cells: Sequence[Row]) -> dict[str, list[str]]:
    """The runs of the cells that failed alike, by their error."""
    found: dict[str, list[str]] = {}
    for row in cells:
        if row["error"]:
            found.setdefault(str(row["error"]), []).append(str(row["run"]))
    return found
