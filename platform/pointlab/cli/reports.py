"""`pointlab report`: what finished runs found, as a page."""

from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from pointlab.cli.options import UsualRoot, existing, write_page
from pointlab.report import build_report
from pointlab.report.paper import write_paper
from pointlab.terminal import say


def report(
    runs: Annotated[list[str], typer.Argument(help="Names of finished runs.")],
    root: UsualRoot = None,
    output: Annotated[Path, typer.Option(help="File to write.")] = Path("report.html"),
    paper: Annotated[
        Path | None,
        typer.Option(
            help="Folder to make instead: every figure as SVG and PDF, every table as CSV and LaTeX."
        ),
    ] = None,
) -> None:
    """Write one self-contained HTML page on some runs and their parents, or its parts for a paper."""
    if paper is not None:
        write_paper(existing(root), runs, paper)
        say(f"Figures and tables: {paper.resolve()}")
        return
    write_page(output, build_report(existing(root), runs))
    say(f"Report: {output.resolve()}")


COMMANDS: dict[Callable[..., None], str] = {
    report: "`pointlab report demo-search-3f0c9a1b2d-s0 --output report.html`",
}
