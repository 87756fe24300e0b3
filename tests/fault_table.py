"""The table of faults: tests add rows, and the rows are shown when all are over."""

import json
import os
from pathlib import Path

import pytest

COLUMNS = ("fault", "where", "outcome", "final weights", "undisturbed")
ROWS: list[tuple[str, ...]] = []


def add_row(fault: str, where: str, outcome: str, digest: str = "-", undisturbed: str = "-") -> None:
    """One fault, where it struck, how the run took it, and the digests of the final weights."""
    ROWS.append((fault, where, outcome, digest[:12], undisturbed[:12]))


def show(terminalreporter: pytest.TerminalReporter) -> None:
    """Show the table, with the rows of earlier sessions that the file named by POINTLAB_FAULTS keeps."""
    if not ROWS:
        return
    rows = [COLUMNS, *_kept(ROWS)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(COLUMNS))]
    terminalreporter.section("faults")
    for row in rows:
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        terminalreporter.write_line("  ".join(cells).rstrip())


def _kept(own: list[tuple[str, ...]]) -> list[tuple[str, ...]]:
    """The rows in the file, after adding `own`; these alone where there is no file."""
    name = os.environ.get("POINTLAB_FAULTS")
    if not name:
        return own
    with Path(name).open("a+") as kept:
        kept.writelines(json.dumps(row) + "\n" for row in own)
        kept.seek(0)
        return [tuple(json.loads(line)) for line in kept]
