"""`pointlab report` and `show`: what finished runs found, as a page or on the terminal."""

from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from pointlab.cli.options import Root, existing, write_page
from pointlab.errors import PointlabError
from pointlab.report import build_report
from pointlab.storage import Record, read_record
from pointlab.terminal import say, screen, show_table, table_of_runs

MAX_ROWS = 30
"""Rows of a record's table that a terminal shows: those of any sweep, and the first of an analysis."""


def report(
    runs: Annotated[list[str], typer.Argument(help="Names of finished runs.")],
    root: Root = None,
    output: Annotated[Path, typer.Option(help="File to write.")] = Path("report.html"),
) -> None:
    """Write one self-contained HTML page on some runs and their parents."""
    write_page(output, build_report(existing(root), runs))
    say(f"Report: {output.resolve()}")


def show(
    name: Annotated[str | None, typer.Argument(help="A run; all of them without it.")] = None,
    root: Root = None,
) -> None:
    """List the runs of a storage root, or print one run's record."""
    storage = existing(root)
    if name is None:
        show_table(table_of_runs(storage))
        return
    record = read_record(storage, name)
    if record is None:
        known = ", ".join(storage.folders("runs")) or "none"
        raise PointlabError(f"There is no finished run {name!r} in {storage.address}.", f"one of: {known}")
    if screen.is_terminal:
        record, left_out = abridged(record)
        for table, rows in left_out:
            say(f"{rows:,} rows of {table} are left out; they are there when this is piped on.")
    screen.print_json(record.model_dump_json())


def abridged(record: Record) -> tuple[Record, list[tuple[str, int]]]:
    """The record with the first rows of long tables alone, for the eye, and how many rows each lacks."""
    left_out = [(name, len(rows) - MAX_ROWS) for name, rows in record.curves.items() if len(rows) > MAX_ROWS]
    curves = {name: rows[:MAX_ROWS] for name, rows in record.curves.items()}
    return record.model_copy(update={"curves": curves}), left_out


COMMANDS: dict[Callable[..., None], str] = {
    report: "`pointlab report demo-search-3f0c9a1b2d-s0 --output report.html`",
    show: "`pointlab show` lists the runs, `pointlab show NAME` prints one",
}
