"""`pointlab run` and `demo`, and the same for one kind of config as a job: experiments are carried out.

The last line of a run says where its record and its report lie.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

import pointlab
from pointlab.cli.official import table_of_keys
from pointlab.cli.options import Overrides, Root, Strict, with_options
from pointlab.cli.plans import (
    table_of_classes,
    table_of_estimate,
    table_of_findings,
    table_of_forecast,
    table_of_front,
    table_of_plan,
    table_of_trials,
)
from pointlab.config import dump
from pointlab.errors import ConfigError
from pointlab.experiment import Experiment, SearchExperiment, StudyExperiment, TransferExperiment, load
from pointlab.experiment.unread_settings import unread_settings
from pointlab.launch import Outcome, estimate, forecast, foresee_classes, foresee_search
from pointlab.launch import run as launch
from pointlab.report import build_report
from pointlab.storage import Record, Storage
from pointlab.terminal import complaints, guarded, say, show_table, shown_progress, table_of_metrics


def run(
    config: Annotated[Path, typer.Argument(help="YAML file of one experiment.")],
    overrides: Overrides = None,
    root: Root = None,
    *,
    dry_run: Annotated[
        bool,
        typer.Option(
            help="Print the resolved config, and what of it is there; exits with 2 if it cannot run."
        ),
    ] = False,
    rerun: Annotated[bool, typer.Option(help="Make a new attempt of a finished run.")] = False,
    strict: Strict = False,
) -> None:
    """Carry out one experiment, with whatever it depends on."""
    experiment = load(config, with_options(overrides, root, strict=strict))
    _tell_unread(experiment)
    if dry_run:
        typer.echo(dump(experiment), nl=False)
        _foretell(experiment)
        return
    _finish(_launch(experiment, rerun=rerun))


def _tell_unread(experiment: Experiment) -> None:
    """Name what a transfer sets and does not read."""
    if isinstance(experiment, TransferExperiment) and (unread := unread_settings(experiment)):
        say(f"Set, but not read by protocol {experiment.protocol}: {', '.join(unread)}.", complaints)


def _foretell(experiment: Experiment) -> None:
    """Tables beside the config, which can be piped on; exits with 2 where something is not to be had."""
    storage = Storage(experiment.storage.root)
    needed = forecast(experiment, storage)
    show_table(table_of_forecast(storage, needed), complaints)
    if isinstance(experiment, TransferExperiment) and (classes := foresee_classes(experiment, storage)):
        show_table(table_of_classes(classes), complaints)
    if isinstance(experiment, StudyExperiment):
        show_table(table_of_plan(experiment), complaints)
        with shown_progress() as watcher:
            estimates = estimate(experiment, storage, watcher)
        if estimates:
            show_table(table_of_estimate(estimates), complaints)
    if not all(each.is_to_be_had for each in needed):
        raise typer.Exit(2)
    if isinstance(experiment, SearchExperiment):  # last, as it asks Ray what fits
        show_table(table_of_trials(foresee_search(experiment, needed[-1].name, storage)), complaints)


def demo(overrides: Overrides = None, root: Root = None) -> None:
    """Pretrain on shapes, transfer to scans, find the mixing coefficient, write the report: minutes."""
    path = config_folder() / "demo" / "search.yaml"
    _finish(_launch(load(path, with_options(overrides, root))))


def _require_lasting(root: str) -> None:
    """Refuse a root inside the folder to which Ray unpacks a job, and which it may delete with the job."""
    storage = Storage(root)
    if storage.is_local and "_ray_pkg_" in storage.address:
        raise ConfigError(
            f"storage.root is {root!r}, which lies in the job's own unpacked folder and may vanish with it.",
            expected="an absolute folder that all nodes share, or s3://bucket/prefix",
            remedy="give one with --root",
        )


def main_of_kind(kind: str, arguments: Sequence[str] | None = None) -> None:
    """Entry point of `jobs/<kind>.py`: the same as `pointlab run`, for one kind of config."""

    def check_and_run(
        config: Annotated[Path, typer.Argument(help=f"YAML file with `kind: {kind}`.")],
        overrides: Overrides = None,
        root: Root = None,
        *,
        rerun: bool = False,
        strict: Strict = False,
    ) -> None:
        experiment = load(config, with_options(overrides, root, strict=strict))
        if experiment.kind != kind:
            raise ConfigError(
                f"{config} is of kind {experiment.kind!r}.", f"kind: {kind}", f"use jobs/{experiment.kind}.py"
            )
        _require_lasting(experiment.storage.root)
        _finish(_launch(experiment, rerun=rerun))

    check_and_run.__doc__ = f"Carry out one {kind} experiment; made for `ray job submit`."
    single = typer.Typer(add_completion=False, rich_markup_mode="markdown", pretty_exceptions_enable=False)
    single.command(epilog=f"Example: `python jobs/{kind}.py configs/...yaml --set seed=1`")(check_and_run)
    guarded(lambda: single(args=arguments))


def config_folder() -> Path:
    """The configs of the source tree, or those that came with the installed package."""
    package = Path(pointlab.__file__).resolve().parent
    beside = package.parents[1] / "configs"
    return beside if beside.is_dir() else package / "configs"


def _launch(experiment: Experiment, *, rerun: bool = False) -> Outcome:
    with shown_progress() as watcher:
        return launch(experiment, rerun=rerun, watcher=watcher)


def _finish(outcome: Outcome) -> None:
    """Print the figures, and last of all where everything lies."""
    where = outcome.storage.locate(outcome.path)
    if outcome.was_finished:
        say("Finished before; nothing was left to do.")
    if outcome.record is None:
        say(f"Dataset: {where}/manifest.json")
        return
    show_table(TABLES.get(outcome.record.kind, table_of_metrics)(outcome.record))
    if outcome.record.curves.get("pareto"):
        show_table(table_of_front(outcome.record))
    page = f"{outcome.path}/report.html"
    if not (outcome.was_finished and outcome.storage.exists(page)):
        outcome.storage.write(page, build_report(outcome.storage, [outcome.record.run]).encode())
    say(f"Record: {where}/record/record.json  Report: {where}/report.html")


TABLES: dict[str, Callable[[Record], Table]] = {"study": table_of_findings, "import": table_of_keys}
"""What is shown of a finished run, by kind; of all others their figures."""
COMMANDS: dict[Callable[..., None], str] = {
    run: "`pointlab run configs/demo/pretrain.yaml --set seed=1 --set launch.kind=local`",
    demo: "`pointlab demo --root /tmp/demo`",
}
