"""`pointlab report` and `show`: what finished runs found, as a page or on the terminal."""

import difflib
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from pointlab.cli.options import Root, existing, write_page
from pointlab.errors import PointlabError
from pointlab.report import build_report
from pointlab.storage import Record, Storage, read_record
from pointlab.terminal import begun_runs, say, screen, show_table, table_of_runs

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
    name: Annotated[
        str | None, typer.Argument(help="A run, or what the names of some runs hold; all without it.")
    ] = None,
    root: Root = None,
) -> None:
    """List the runs of a storage root, or those whose names hold some words; print one run's record."""
    storage = existing(root)
    runs = begun_runs(storage)
    if name is None or (name not in runs and any(name in run for run in runs)):
        show_table(table_of_runs(storage, [run for run in runs if name is None or name in run]))
        return
    record = read_record(storage, name)
    if record is None:
        raise _no_record(name, runs, storage)
    if screen.is_terminal:
        record, left_out = abridged(record)
        for table, rows in left_out:
            say(f"{rows:,} rows of {table} are left out; they are there when this is piped on.")
    screen.print_json(record.model_dump_json())


def _no_record(name: str, runs: list[str], storage: Storage) -> PointlabError:
    """What to say of a name that is no run's, or of a run that has not come to its end."""
    if name in runs:
        return PointlabError(
            f"The run {name} in {storage.address} is not finished, so it has no record.",
            remedy="run the same command again: it goes on from its newest checkpoint",
        )
    close = difflib.get_close_matches(name, runs, n=3) or runs[:3]
    return PointlabError(
        f"There is no run {name!r} among the {len(runs)} of {storage.address}.",
        expected=f"a run, such as {', '.join(close)}" if close else "a root that has runs",
        remedy="pointlab show lists all; with a part of a name, those that hold it",
    )


def abridged(record: Record) -> tuple[Record, list[tuple[str, int]]]:
    """The record with the first rows of long tables alone, for the eye, and how many rows each lacks."""
    left_out = [(name, len(rows) - MAX_ROWS) for name, rows in record.curves.items() if len(rows) > MAX_ROWS]
    curves = {name: rows[:MAX_ROWS] for name, rows in record.curves.items()}
    return record.model_copy(update={"curves": curves}), left_out


COMMANDS: dict[Callable[..., None], str] = {
    report: "`pointlab report demo-search-3f0c9a1b2d-s0 --output report.html`",
    show: "`pointlab show` lists the runs, `pointlab show demo` some, `pointlab show NAME` prints one",
}
