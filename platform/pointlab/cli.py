"""The command line: `pointlab run`, `demo`, `report` and `show`.

Bad input ends with a paragraph that says what to do, and exit code 2; the last line of a run says where
its record and its report lie.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

import pointlab
from pointlab.config import dump
from pointlab.errors import ConfigError, PointlabError
from pointlab.experiment import Experiment, StorageConfig, load
from pointlab.launch import Outcome
from pointlab.launch import run as launch
from pointlab.report import build_report
from pointlab.storage import Storage, read_record
from pointlab.terminal import (
    guarded,
    screen,
    show_table,
    shown_progress,
    table_of_metrics,
    table_of_runs,
)

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
    help="Which pretraining should a point-cloud model start from, and will it still work under shift?",
)

Overrides = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="a.b=VALUE", help="Override one setting; may be repeated."),
]
Root = Annotated[
    str | None, typer.Option(help="Storage root: a folder or s3://bucket/prefix (default: the config's).")
]


@app.command(epilog="Example: `pointlab run configs/demo/pretrain.yaml --set seed=1 --set launch.kind=local`")
def run(
    config: Annotated[Path, typer.Argument(help="YAML file of one experiment.")],
    overrides: Overrides = None,
    root: Root = None,
    dry_run: Annotated[bool, typer.Option(help="Print the resolved config and stop.")] = False,
    rerun: Annotated[bool, typer.Option(help="Make a new attempt of a finished run.")] = False,
) -> None:
    """Carry out one experiment, with whatever it depends on."""
    experiment = load(config, _with_root(overrides, root))
    if dry_run:
        typer.echo(dump(experiment), nl=False)
        return
    _finish(_launch(experiment, rerun=rerun))


@app.command(epilog="Example: `pointlab demo --root /tmp/demo`")
def demo(overrides: Overrides = None, root: Root = None) -> None:
    """Pretrain on shapes, transfer to scans, find the mixing coefficient, write the report: minutes."""
    path = config_folder() / "demo" / "search.yaml"
    _finish(_launch(load(path, _with_root(overrides, root))))


@app.command(epilog="Example: `pointlab report demo-search-3f0c9a1b2d-s0 --output report.html`")
def report(
    runs: Annotated[list[str], typer.Argument(help="Names of finished runs.")],
    root: Root = None,
    output: Annotated[Path, typer.Option(help="File to write.")] = Path("report.html"),
) -> None:
    """Write one self-contained HTML page on some runs and their parents."""
    page = build_report(_existing(root), runs)
    try:
        output.write_text(page)
    except OSError as error:
        raise PointlabError(
            f"{output} cannot be written: {error.strerror}.", remedy="choose another --output"
        ) from None
    screen.print(f"Report: {output.resolve()}", soft_wrap=True)


@app.command(epilog="Example: `pointlab show` lists the runs, `pointlab show NAME` prints one")
def show(
    name: Annotated[str | None, typer.Argument(help="A run; all of them without it.")] = None,
    root: Root = None,
) -> None:
    """List the runs of a storage root, or print one run's record."""
    storage = _existing(root)
    if name is None:
        show_table(table_of_runs(storage))
        return
    record = read_record(storage, name)
    if record is None:
        known = ", ".join(storage.folders("runs")) or "none"
        raise PointlabError(f"There is no finished run {name!r} in {storage.address}.", f"one of: {known}")
    screen.print_json(record.model_dump_json())


def _require_lasting(root: str) -> None:
    """Refuse a root inside the folder to which Ray unpacks a job, and which it may delete with the job."""
    storage = Storage(root)
    if storage.is_local and "_ray_pkg_" in storage.address:
        raise ConfigError(
            f"storage.root is {root!r}, which lies in the job's own unpacked folder and may vanish with it.",
            expected="an absolute folder that all nodes share, or s3://bucket/prefix",
            remedy="give one with --root",
        )


def main() -> None:
    """Entry point: errors that a user can fix become a paragraph and exit code 2."""
    guarded(app)


def main_of_kind(kind: str, arguments: Sequence[str] | None = None) -> None:
    """Entry point of `jobs/<kind>.py`: the same as `pointlab run`, for one kind of config."""

    def check_and_run(
        config: Annotated[Path, typer.Argument(help=f"YAML file with `kind: {kind}`.")],
        overrides: Overrides = None,
        root: Root = None,
        rerun: bool = False,
    ) -> None:
        experiment = load(config, _with_root(overrides, root))
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
        screen.print("Finished before; nothing was left to do.")
    if outcome.record is None:
        screen.print(f"Dataset: {where}/manifest.json", soft_wrap=True)
        return
    show_table(table_of_metrics(outcome.record))
    page = f"{outcome.path}/report.html"
    if not (outcome.was_finished and outcome.storage.exists(page)):
        outcome.storage.write(page, build_report(outcome.storage, [outcome.record.run]).encode())
    screen.print(f"Record: {where}/record/record.json  Report: {where}/report.html", soft_wrap=True)


def _existing(root: str | None) -> Storage:
    """The storage to read from; nothing is made where there is none."""
    storage = Storage(root or StorageConfig().root)
    if not storage.exists(""):
        raise PointlabError(
            f"There is no {storage.address}.", remedy="give the root of your runs with --root"
        )
    return storage


def _with_root(overrides: list[str] | None, root: str | None) -> list[str]:
    return [*(overrides or []), *([f"storage.root={root}"] if root else [])]


if __name__ == "__main__":
    main()
