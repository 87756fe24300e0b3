"""What the command line shows: progress, tables, terms of use, and errors as paragraphs.

On a terminal progress is a set of bars; in a log file, such as that of a submitted job, it is a line at
every tenth of a stage.
"""

import contextlib
import logging
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from rich.console import Console
from rich.logging import RichHandler
from rich.markup import escape
from rich.measure import Measurement
from rich.panel import Panel
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from rich.table import Table

from pointlab.data.catalogue import Card
from pointlab.errors import PointlabError, PreemptedError
from pointlab.interruption import EXIT_CODE
from pointlab.storage import Record
from pointlab.training import Watcher

screen = Console()
complaints = Console(stderr=True)
LINES_PER_STAGE = 10
BELOW_FIGURES = ("chosen", "by chance", "collapsed")
"""Beginnings of the notes without which the figures of a record would mislead."""
UNLIMITED = 1000


def guarded(command: Callable[[], Any]) -> None:
    """Call `command`; a PointlabError becomes a paragraph on the error stream and exit code 2.

    A run that was asked to end (SIGTERM) has saved itself and exits with 143, for it is not finished.
    """
    _set_up_logging()
    try:
        command()
    except PointlabError as error:
        complaints.print(f"[bold red]Error:[/] {escape(str(error))}", soft_wrap=True, highlight=False)
        sys.exit(EXIT_CODE if isinstance(error, PreemptedError) else 2)


def _set_up_logging() -> None:
    logger = logging.getLogger("pointlab")
    logger.handlers = [LogHandler(console=complaints, show_path=False, show_time=False)]
    logger.setLevel(logging.INFO)
    logger.propagate = False
    warnings.filterwarnings("ignore", module="ray")


class LogHandler(RichHandler):
    """Shows a line of the log; a line that carries a `card` (of a set at its first use) as its terms.

    Lines are broken for a terminal alone: in a file they are looked for, and each is to be found whole.
    """

    def emit(self, record: logging.LogRecord) -> None:
        """Show one record."""
        card = getattr(record, "card", None)
        if isinstance(card, Card):
            show_terms(card)
        elif self.console.is_terminal:
            super().emit(record)
        else:
            say(f"{record.levelname:<8} {self.format(record)}", self.console)


def say(text: str, console: Console = screen) -> None:
    """Print the text as it is, in whatever brackets it has, without breaking its lines."""
    console.print(text, soft_wrap=True, markup=False, highlight=False)


def show_terms(card: Card) -> None:
    """Show on what terms a set is used, in a frame; nothing for one that asks nothing. Nobody is asked."""
    title, _, asked = card.notice().partition("\n")
    if asked:
        complaints.print(Panel(escape(asked), title=escape(title), title_align="left", expand=False))


@contextlib.contextmanager
def shown_progress() -> Iterator[Watcher]:
    """A watcher whose stages are shown while the block runs; Ctrl-C is answered with what it means."""
    try:
        with _bars() if complaints.is_terminal else contextlib.nullcontext(_lines()) as watcher:
            yield watcher
    except KeyboardInterrupt:
        say("Interrupted. What was finished or saved stays: the same command goes on from there.", complaints)
        raise


@contextlib.contextmanager
def _bars() -> Iterator[Watcher]:
    description = TextColumn("{task.description}", markup=False)
    columns = (description, BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, TextColumn("{task.fields[figures]}"), console=complaints) as bars:
        tasks: dict[str, TaskID] = {}

        def watch(stage: str, done: int, total: int, figures: Mapping[str, float]) -> None:
            if stage not in tasks:
                tasks[stage] = bars.add_task(stage, total=total, figures="")
            bars.update(tasks[stage], completed=done, total=total, figures=_brief(figures))

        yield watch


def _lines() -> Watcher:
    printed: dict[str, int] = {}

    def watch(stage: str, done: int, total: int, figures: Mapping[str, float]) -> None:
        tenth = LINES_PER_STAGE * done // total
        if tenth > printed.get(stage, -1):
            printed[stage] = tenth
            say(f"{stage}  {done}/{total}  {_brief(figures)}", complaints)

    return watch


def _brief(figures: Mapping[str, float]) -> str:
    shown = {name.removeprefix("train/"): value for name, value in figures.items()}
    return "  ".join(f"{name} {value:.3g}" for name, value in shown.items() if name not in _POSITIONS)


_POSITIONS = {"step", "epoch", "samples"}


def show_table(table: Table, console: Console = screen) -> None:
    """Print the table in full, what stands above and below it unbroken: a name or a number that was cut
    cannot be copied."""
    above, table.title = table.title, None
    below, table.caption = table.caption, None
    whole = Measurement.get(console, console.options.update(width=UNLIMITED), table).maximum
    if above:
        console.print(above, style="italic", soft_wrap=True, highlight=False)
    Console(width=max(whole, console.width), file=console.file).print(table)
    if below:
        console.print(below, style="dim italic", soft_wrap=True, highlight=False)


def table_of_metrics(record: Record) -> Table:
    """Every figure of a record, but those at single severities of a corruption."""
    title = escape(f"{record.run} ({record.protocol})")
    below = [f"{what}: {told}" for what, told in record.notes.items() if what.startswith(BELOW_FIGURES)]
    shown = {name: value for name, value in record.metrics.items() if not _is_of_a_severity(name)}
    if left_out := len(record.metrics) - len(shown):
        below.append(f"{left_out} accuracies at single severities are in the record and on the page")
    table = Table("metric", "value", title=title, caption=escape("\n".join(below)))
    for name, value in sorted(shown.items()):
        table.add_row(escape(name), f"{value:.4g}")
    return table


def _is_of_a_severity(name: str) -> bool:
    """Whether it is `<split>/<corruption>/<severity>/accuracy`, of which a suite has dozens."""
    path = name.split("/")
    return len(path) == 4 and path[2].isdecimal()
