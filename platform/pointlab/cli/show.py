"""`pointlab show`: the runs of a store, one of them whole, several side by side, or the config of one."""

import difflib
import json
from collections.abc import Callable, Mapping, Sequence
from typing import Annotated

import typer
import yaml

from pointlab.cli.options import UsualRoot, existing
from pointlab.cli.run_selection import Selection, require_metrics
from pointlab.cli.run_tables import table_of_figures, table_of_runs, table_of_what_differs
from pointlab.cli.study_tables import tables_of_study
from pointlab.errors import PointlabError
from pointlab.provenance import code_version
from pointlab.report.study_finding import study_finding
from pointlab.storage import Record, Storage, read_record
from pointlab.study import read_interim
from pointlab.terminal import say, screen, show_table

MAX_ROWS = 30
"""Rows of a record's table that a terminal shows: those of any sweep, and the first of an analysis."""
Where = Annotated[
    list[str] | None,
    typer.Option(metavar="a.b=VALUE", help="Runs with this setting, or protocol='full*'; may be repeated."),
]
Sort = Annotated[
    str | None, typer.Option(help="By this metric, highest first, or this setting, least first.")
]


def show(
    names: Annotated[
        list[str] | None, typer.Argument(help="Runs, or what their names hold; all without any.")
    ] = None,
    root: UsualRoot = None,
    *,
    kind: Annotated[str | None, typer.Option(help="Runs of this kind alone.")] = None,
    where: Where = None,
    metric: Annotated[list[str] | None, typer.Option(help="Show this metric; may be repeated.")] = None,
    sort: Sort = None,
    last: Annotated[int | None, typer.Option(min=1, help="The runs that were finished last.")] = None,
    compare: Annotated[
        bool, typer.Option(help="Side by side: figures, and the settings that differ.")
    ] = False,
    config: Annotated[bool, typer.Option(help="Print the YAML that makes this run again.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print records as JSON.")] = False,
) -> None:
    """List the runs of a store, or some of them; print one, its config, or several side by side."""
    _require_one_form({"--compare": compare, "--config": config, "--json": as_json})
    storage, selection = existing(root), Selection(kind, tuple(where or ()), sort, last)
    begun = begun_runs(storage)
    runs = named(names or [], begun, storage)
    is_one = runs == names and selection == Selection() and not metric
    if is_one and not (compare or config):
        show_one(storage, runs[0], as_json=as_json)
        return
    runs, records = selected(selection, runs, storage)
    metrics = metric or []
    require_metrics(metrics, records)
    if config:
        typer.echo(config_of(_only(records, runs)), nl=False)
    elif compare:
        show_side_by_side(records, metrics)
    elif as_json:
        screen.print_json(json.dumps([record.model_dump(mode="json") for record in records]))
    else:
        show_table(table_of_runs(runs, {record.run: record for record in records}, metrics))


def begun_runs(storage: Storage) -> list[str]:
    """Names of the runs that have begun; of one whose settings were refused, the lease alone is left."""
    names = storage.folders("runs")
    return [
        name
        for name in names
        if storage.folders(f"runs/{name}") != ["lease"] or storage.exists(f"runs/{name}/config.yaml")
    ]


def named(names: Sequence[str], runs: Sequence[str], storage: Storage) -> list[str]:
    """The runs that are called so, or else those whose names hold each word; all of them without any name."""
    found: dict[str, None] = {} if names else dict.fromkeys(runs)
    for name in names:
        matching = [name] if name in runs else [run for run in runs if name in run]
        if not matching:
            raise _unknown_run(name, runs, storage)
        found |= dict.fromkeys(matching)
    return list(found)


def selected(selection: Selection, runs: list[str], storage: Storage) -> tuple[list[str], list[Record]]:
    """The runs that are asked for, and the records of those that are finished, in the same order."""
    found = [record for run in runs if (record := read_record(storage, run)) is not None]
    if selection == Selection():
        return runs, found
    kept = selection.of(found)  # of an unfinished run nothing is known that could be asked for
    return [record.run for record in kept], kept


def show_one(storage: Storage, run: str, *, as_json: bool) -> None:
    """A run's record; of a study its tables, of an unfinished one as far as it has come."""
    record = read_record(storage, run)
    shown = record or read_interim(storage, run)
    if shown is not None and shown.kind == "study" and not as_json:
        say(study_finding(shown) if record else f"Unfinished. {study_finding(shown)}")
        for table in tables_of_study(shown):
            show_table(table)
        return
    if record is None:
        raise _unfinished(run, storage)
    if screen.is_terminal and not as_json:
        record, left_out = abridged(record)
        for name, rows in left_out:
            say(
                f"{rows:,} rows of {name} are left out; they are there with --json, or when this is piped on."
            )
    screen.print_json(record.model_dump_json())


def show_side_by_side(records: Sequence[Record], metrics: Sequence[str]) -> None:
    """Figures of two or more runs, and what sets these apart."""
    if len(records) < 2:
        told = ", ".join(record.run for record in records) or "none"
        raise PointlabError(
            f"There is nothing to compare: of the runs asked for, {told} is finished.",
            expected="two finished runs or more",
            remedy="name them, or part of their names: pointlab show RUN RUN --compare",
        )
    show_table(table_of_figures(records, metrics))
    show_table(table_of_what_differs(records))


def config_of(record: Record) -> str:
    """The YAML that makes the run again, whole; code of another version may give other figures."""
    about = f"# {record.run}, finished {record.finished} by code version {record.code_version}\n"
    if record.code_version != code_version():
        about += f"# Mind that this is code version {code_version()}.\n"
    return about + yaml.safe_dump(record.config, sort_keys=False)


def abridged(record: Record) -> tuple[Record, list[tuple[str, int]]]:
    """The record with the first rows of long tables alone, for the eye, and how many rows each lacks."""
    left_out = [(name, len(rows) - MAX_ROWS) for name, rows in record.curves.items() if len(rows) > MAX_ROWS]
    curves = {name: rows[:MAX_ROWS] for name, rows in record.curves.items()}
    return record.model_copy(update={"curves": curves}), left_out


def _only(records: Sequence[Record], runs: Sequence[str]) -> Record:
    if len(records) == len(runs) == 1:
        return records[0]
    raise PointlabError(
        f"--config is of one finished run, not of {len(runs)} runs of which {len(records)} are finished.",
        remedy="give the whole name of one that pointlab show lists as finished",
    )


def _require_one_form(forms: Mapping[str, bool]) -> None:
    if len(chosen := [form for form, is_chosen in forms.items() if is_chosen]) > 1:
        raise PointlabError(f"{' and '.join(chosen)} print different things.", remedy="choose one of them")


def _unfinished(run: str, storage: Storage) -> PointlabError:
    return PointlabError(
        f"The run {run} in {storage.address} is not finished, so it has no record.",
        remedy="run the same command again: it goes on from its newest checkpoint",
    )


def _unknown_run(name: str, runs: Sequence[str], storage: Storage) -> PointlabError:
    close = difflib.get_close_matches(name, runs, n=3) or runs[:3]
    return PointlabError(
        f"There is no run {name!r} among the {len(runs)} of {storage.address}.",
        expected=f"a run, such as {', '.join(close)}" if close else "a root that has runs",
        remedy="pointlab show lists all; with a part of a name, those that hold it",
    )


COMMANDS: dict[Callable[..., None], str] = {
    show: "`pointlab show demo --kind transfer --sort test/accuracy`, `pointlab show RUN RUN --compare`,"
    " `pointlab show RUN --config`",
}
