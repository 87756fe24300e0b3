"""`pointlab doctor`: what would fail, found before it does, as a table or as JSON."""

from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from pointlab.cli.options import Overrides, Root, with_options
from pointlab.doctor import (
    Diagnosis,
    Finding,
    Request,
    checks_from_outside,
    checks_here,
    diagnosis_of,
    examine,
    names_of,
    of_error,
    unseen,
    versions,
)
from pointlab.doctor.datasets import Datasets
from pointlab.errors import ConfigError
from pointlab.experiment import StorageConfig, load
from pointlab.interruption import exit_on_sigterm
from pointlab.submission.order import require_shared
from pointlab.terminal import say, screen

Server = Annotated[
    str | None,
    typer.Option(
        help="Job server of the cluster that the config would be submitted to, such as http://head:8265;"
        " without it, this machine or the cluster in RAY_ADDRESS is looked at."
    ),
]
WorkingDirectory = Annotated[Path, typer.Option(help="Folder that a submission would ship.")]
COLUMNS = 120
"""Width of the table in a log file; sentences are wrapped."""
COLOURS = {"pass": "green", "warning": "yellow", "failure": "bold red", "skipped": "dim"}
COUNTED = {"skipped": "not looked at"}
"""What the last line calls a verdict by, where not by its name."""


def doctor(
    config: Annotated[Path | None, typer.Argument(help="YAML file of the experiment that is to run.")] = None,
    overrides: Overrides = None,
    root: Root = None,
    address: Server = None,
    working_dir: WorkingDirectory = Path(),
    *,
    deep: Annotated[bool, typer.Option("--deep", help="Read every byte of the datasets.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one line of JSON.")] = False,
) -> None:
    """Find out what would fail, and what to do about it; exits with 1 where something would."""
    if config is None:
        _require_config_for(overrides, deep=deep)
    with exit_on_sigterm():
        if address is None:
            findings = _here(config, with_options(overrides, root), root, deep=deep)
        else:
            if config is None:
                require_shared(root or StorageConfig().root)
            settings = tuple(with_options(overrides, root)) if config else ()
            place = config and config.absolute()  # checks run in threads, and a folder is the whole process's
            shipped = working_dir.absolute()
            request = Request(address, shipped, place, settings, None if config else root, deep)
            findings = examine(checks_from_outside(request))
    diagnosis = diagnosis_of(findings, versions())
    if as_json:
        typer.echo(diagnosis.model_dump_json())
    else:
        wide = Console(width=screen.width if screen.is_terminal else COLUMNS)
        wide.print(table_of_findings(diagnosis))
        say(_summary(diagnosis))
    if not diagnosis.passed:
        raise typer.Exit(1)


def _require_config_for(overrides: list[str] | None, *, deep: bool) -> None:
    """ConfigError for options that say something of an experiment, where none is named."""
    given = [*(["--set"] if overrides else []), *(["--deep"] if deep else [])]
    if given:
        raise ConfigError(
            f"{' and '.join(given)} without a config: there is no experiment to look at.",
            remedy="name the YAML file of an experiment, or leave this out",
        )


def _here(config: Path | None, settings: list[str], root: str | None, *, deep: bool) -> list[Finding]:
    if config is None:
        return examine(checks_here(None, root or StorageConfig().root))
    try:
        experiment = load(config, settings)
    except ConfigError as error:
        others = [*names_of(checks_here(None, "")), Datasets.name]
        return [of_error(error, "config"), *unseen(others, "config")]
    return examine(checks_here(experiment, experiment.storage.root, deep=deep))


def table_of_findings(diagnosis: Diagnosis) -> Table:
    """A row for each finding, with the remedy below what was found."""
    table = Table("check", "result", "found", title="pointlab doctor", show_lines=True)
    for finding in diagnosis.findings:
        colour = COLOURS[finding.verdict]
        remedy = f"\n[{colour}]What to do:[/] {escape(finding.remedy)}" if finding.remedy else ""
        verdict = f"[{colour}]{finding.verdict}[/]"
        table.add_row(escape(finding.check), verdict, escape(finding.found) + remedy)
    return table


def _summary(diagnosis: Diagnosis) -> str:
    verdicts = [finding.verdict for finding in diagnosis.findings]
    counts = {verdict: verdicts.count(verdict) for verdict in COLOURS if verdict in verdicts}
    return ", ".join(f"{count} {COUNTED.get(verdict, verdict)}" for verdict, count in counts.items())


COMMANDS: dict[Callable[..., None], str] = {
    doctor: "`pointlab doctor configs/demo/search.yaml --address http://head:8265`"
}
