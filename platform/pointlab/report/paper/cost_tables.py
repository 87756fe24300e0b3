"""What a study took, for a paper: each start's pretraining with its teachers, every run behind the cells."""

from collections.abc import Iterator

from pointlab.report.paper.latex import Cell, Line, Number
from pointlab.report.paper.tables import MISSING, PaperTable, file_name, in_blocks
from pointlab.report.wording import duration
from pointlab.storage import Record
from pointlab.study.comparison import Row

WORK = {
    "samples": "Samples",
    "clouds": "Clouds",
    "steps": "Steps",
    "flops": "FLOPs",
    "seconds": "Device time",
}
OF_TEACHERS = {"teacher_flops": "Teachers' FLOPs", "teacher_seconds": "Teachers' time"}


def cost_tables(name: str, record: Record) -> Iterator[PaperTable]:
    """Those that the record has rows for: old ones have none."""
    costs = record.curves.get("costs", [])
    if costs:
        caption = "What one pretraining of each start took, in the mean over seeds, and its teachers."
        words = {"backbone": "Backbone", "start": "Start", "route": "Route"}
        yield _table(file_name(name, "costs"), caption, words, WORK | OF_TEACHERS, costs)
    ancestors = record.curves.get("ancestors", [])
    if ancestors:
        caption = "What every run took that cells rest on, each once, and the starts that rest on it."
        words = {"kind": "Kind", "name": "Name", "starts": "Starts"}
        yield _table(file_name(name, "ancestors"), caption, words, WORK, ancestors)


def _table(
    name: str, caption: str, words: dict[str, str], counts: dict[str, str], rows: list[Row]
) -> PaperTable:
    lines: list[Line] = [
        (*(str(row[each]) for each in words), *(_told(each, row[each]) for each in counts)) for row in rows
    ]
    columns = (*words.values(), *counts.values())
    return PaperTable(name, caption, columns, in_blocks(lines, 0), tuple(rows))


def _told(column: str, value: float | str) -> Cell:
    """Counts whole, operations in powers of ten, time in its units."""
    if isinstance(value, str):
        return value or MISSING
    if column.endswith("seconds"):
        return duration(value)
    if not column.endswith("flops") or value == 0:
        return Number(f"{value:,.0f}".replace(",", r"\,"))
    digits, _, exponent = f"{value:.2e}".partition("e")
    return Number(digits, rf"\times 10^{{{int(exponent)}}}")
