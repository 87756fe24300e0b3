"""Tables in LaTeX: `tabular` with the rules of booktabs, to `\\input` into a table of the paper's own."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

SPECIAL = {
    "\\": r"\textbackslash{}",
    "{": r"\{",
    "}": r"\}",
    "$": r"\$",
    "&": r"\&",
    "%": r"\%",
    "#": r"\#",
    "_": r"\_",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    "[": "{[}",  # a row that began with one would end the row before it with a length
    "]": "{]}",
    "±": r"$\pm$",
    "×": r"$\times$",
    "·": r"$\cdot$",
    "−": "$-$",
    "–": "--",
    "\N{NO-BREAK SPACE}": "~",
}
"""What means something to TeX, and signs that its older engines lack."""


@dataclass(frozen=True)
class Number:
    """A number as it is printed, what stands beside it in TeX's mathematics, and whether it is the best."""

    told: str
    beside: str = ""
    is_best: bool = False


Cell = str | Number
Line = tuple[Cell, ...]


def tabular(columns: Sequence[str], blocks: Sequence[Sequence[Line]], caption: str) -> str:
    """The table with a rule between its blocks; words to the left, numbers to the right."""
    lines = [line for block in blocks for line in block]
    sides = [
        "r" if any(isinstance(line[at], Number) for line in lines) else "l" for at in range(len(columns))
    ]
    bodies = ["".join(f"  {_row(map(_cell, line))}\n" for line in block) for block in blocks]
    return (
        f"% {_in_one_line(caption)}\n% \\usepackage{{booktabs}}\n"
        f"\\begin{{tabular}}{{{''.join(sides)}}}\n  \\toprule\n  {_row(map(escape, columns))}\n  \\midrule\n"
        + "  \\midrule\n".join(bodies)
        + "  \\bottomrule\n\\end{tabular}\n"
    )


def escape(text: str) -> str:
    """`text` as TeX prints it, in one line."""
    return "".join(SPECIAL.get(letter, letter) for letter in _in_one_line(text))


def _in_one_line(text: str) -> str:
    """With one space for every break and control character."""
    return re.sub(r"[ \x00-\x1f\x7f-\x9f\u2028\u2029]+", " ", text)


def _row(cells: Iterable[str]) -> str:
    return " & ".join(cells) + r" \\"


def _cell(cell: Cell) -> str:
    if isinstance(cell, str):
        return escape(cell)
    told = rf"\mathbf{{{cell.told}}}" if cell.is_best else cell.told
    return f"${told} {cell.beside}$" if cell.beside else f"${told}$"
