"""The table of faults: tests add rows, and the rows are shown when all are over."""

import os
from pathlib import Path

import pytest

COLUMNS = ("fault", "where", "outcome", "final weights", "undisturbed")
ROWS: list[tuple[str, ...]] = []


def add_row(fault: str, where: str, outcome: str, digest: str = "-", undisturbed: str = "-") -> None:
    """One fault, where it struck, how the run took it, and the digests of the final weights."""
    ROWS.append((fault, where, outcome, digest[:12], undisturbed[:12]))


def show(terminalreporter: pytest.TerminalReporter) -> None:
    """Show the table, and write it to the file named by POINTLAB_FAULT_TABLE, if any."""
    if not ROWS:
        return
    rows = [COLUMNS, *ROWS]
    widths = [max(len(entry[column]) for entry in rows) for column in range(len(COLUMNS))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(r, widths, strict=True)) for r in rows]
    terminalreporter.section("faults")
    for line in lines:
        terminalreporter.write_line(line.rstrip())
    table = os.environ.get("POINTLAB_FAULT_TABLE")
    if table:
        Path(table).write_text("\n".join(line.rstrip() for line in lines) + "\n")
