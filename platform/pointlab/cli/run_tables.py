"""Finished runs on the terminal: a row for each, or side by side with what sets them apart."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import yaml
from rich.markup import escape
from rich.table import Table

from pointlab.cli.run_selection import Value, settings_of
from pointlab.storage import Record

ABSENT = ""
"""What a table says of a run that has no such setting or figure."""


def table_of_runs(runs: Sequence[str], records: Mapping[str, Record], metrics: Sequence[str] = ()) -> Table:
    """These runs with their accuracies, or with the metrics that were asked for; some may be unfinished."""
    table = Table("run", "kind", "protocol", "finished", *map(escape, metrics or ["accuracies"]))
    for run in runs:
        record = records.get(run)
        if record is None:
            table.add_row(escape(run), "", "", "unfinished")
            continue
        accuracies = "  ".join(f"{split} {value:.1%}" for split, value in _accuracies(record))
        figures = [_figure(record, name) for name in metrics] if metrics else [accuracies]
        table.add_row(*map(escape, (run, record.kind, record.protocol, record.finished, *figures)))
    return table


def _accuracies(record: Record) -> Iterator[tuple[str, float]]:
    """The accuracy on each split, its mean under corruptions, and the mean IoU of segmentations."""
    titles = {"accuracy": "", "mOA": " mOA", "miou": " mIoU"}
    for metric, value in sorted(record.metrics.items()):
        split, _, name = metric.partition("/")
        if name in titles:
            yield f"{split}{titles[name]}", value


def table_of_figures(records: Sequence[Record], metrics: Sequence[str] = ()) -> Table:
    """A column for each run: every metric, or those asked for, and what the run took."""
    table = Table("metric", *(escape(record.run) for record in records), title="figures")
    for name in metrics or sorted({name for record in records for name in record.metrics}):
        table.add_row(escape(name), *(_figure(record, name) for record in records))
    table.add_section()
    for cost in ("samples_seen", "flops", "device_seconds", "wall_seconds"):
        found = [getattr(record, cost) for record in records]
        table.add_row(cost, *(f"{value:.4g}" if value else ABSENT for value in found))
    return table


def table_of_what_differs(records: Sequence[Record]) -> Table:
    """A column for each run: the settings, and what else defines them, that are not the same in all."""
    found = [_definition(record) for record in records]
    table = Table("setting", *(escape(record.run) for record in records), title="what differs")
    for key in dict.fromkeys(key for each in found for key in each):
        told = [_told(each[key]) if key in each else ABSENT for each in found]
        if len(set(told)) > 1:
            table.add_row(escape(key), *map(escape, told))
    return table


def _definition(record: Record) -> dict[str, Value]:
    """Settings by their paths, what the table compares with, and what these refer to."""
    stamp = {"kind": record.kind, "seed": record.seed, "stamp": record.protocol, "code": record.code_version}
    refers = {"dataset": record.datasets, "parent": record.parents}
    roles = {f"{what} {role}": name for what, named in refers.items() for role, name in named.items()}
    return stamp | settings_of(record) | roles


def _figure(record: Record, metric: str) -> str:
    value = record.metrics.get(metric)
    return ABSENT if value is None else f"{value:.4g}"


def _told(value: Any) -> str:
    """As YAML would say it, on one line."""
    return yaml.safe_dump(value, default_flow_style=True, width=1000).removesuffix("\n...\n").strip()
