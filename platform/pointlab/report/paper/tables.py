"""A table of a paper: its numbers unrounded for CSV, and what is printed of them for LaTeX."""

import csv
import io
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from pointlab.report.paper.latex import Line, Number, tabular
from pointlab.study.comparison import Row

MISSING = "--"
"""Of a cell that has no number: it failed, is not run yet, or has nothing to be compared with."""


@dataclass(frozen=True)
class PaperTable:
    """A table with the name of its files, and a rule between its blocks."""

    name: str
    caption: str
    columns: tuple[str, ...]
    blocks: tuple[tuple[Line, ...], ...]
    numbers: tuple[Row, ...]
    """What CSV holds: a row for each number, with all that is known of it."""

    def as_latex(self) -> str:
        """As it is printed."""
        return tabular(self.columns, self.blocks, self.caption)

    def as_csv(self) -> str:
        """All numbers, unrounded: shares in [0, 1], seconds, counts."""
        text = io.StringIO()
        columns = list(dict.fromkeys(column for row in self.numbers for column in row))
        writer = csv.DictWriter(text, columns, restval="", lineterminator="\n")
        writer.writeheader()
        writer.writerows(self.numbers)
        return text.getvalue()


def file_name(*parts: str) -> str:
    """A name for files that says what is in them."""
    return re.sub(r"[^a-z0-9]+", "-", "-".join(parts).lower()).strip("-")


def share(mean: float, deviation: float | str | None = "", *, is_best: bool = False) -> Number:
    """A share in percent, ± its standard deviation where it has one."""
    beside = "" if deviation in ("", None) else rf"\pm {100 * float(deviation or 0):.1f}"
    return Number(f"{100 * mean:.1f}", beside, is_best)


def best_of(values: Iterable[float | str | None], digits: int = 3) -> frozenset[float]:
    """The highest of the numbers among `values`, with those that print alike; nothing of a single one."""
    numbers = [value for value in values if isinstance(value, float)]
    if len(numbers) < 2:
        return frozenset()
    highest = round(max(numbers), digits)
    return frozenset(value for value in numbers if round(value, digits) == highest)


def in_blocks(lines: Sequence[Line], column: int) -> tuple[tuple[Line, ...], ...]:
    """The lines, in their order, by what their `column` says."""
    kinds = dict.fromkeys(line[column] for line in lines)
    return tuple(tuple(line for line in lines if line[column] == kind) for kind in kinds)
