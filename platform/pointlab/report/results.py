"""Results: every metric of every record, seeds together, with the error that a finite split leaves.

Runs are put together only if nothing but their seed differs, which their names say: `<name>-<hash>-s<seed>`;
of retrievals and matchings, whose seed is that of the pretraining within them, their settings do.
Figures of two protocols never share a row, nor do those of two suites of corruptions: equal settings may have
met other content of a dataset, which the suite's hash tells.
"""

import json
import math
import re
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from pointlab.experiment.legacy_settings import PREFIX as LEGACY
from pointlab.report.collect import Material
from pointlab.report.wording import (
    GAP,
    dataset_of,
    figure,
    is_of_a_split,
    is_share,
    measure_name,
    number,
    percent,
    split_name,
)
from pointlab.storage import Record

NORMAL_QUANTILE = 1.959963984540054
"""Of 0.975: two-sided 95 %."""
ORDER = (
    "test",
    "shifted-test",
    "corrupted-test",
    "target-validation",
    "shifted-validation",
    "corrupted-validation",
    "selection",
    "validation",
    "train",
)


@dataclass(frozen=True)
class Group:
    """Runs of one experiment that differ in their seed alone."""

    name: str
    protocol: str
    records: tuple[Record, ...]

    @property
    def metrics(self) -> list[str]:
        """Every metric that some record of the group has, the test splits first."""
        names = {metric for record in self.records for metric in record.metrics}
        return sorted(names, key=_rank)

    def values(self, metric: str) -> list[float]:
        """The metric of each record that has it, in the order of the records."""
        return [record.metrics[metric] for record in self.records if metric in record.metrics]


@dataclass(frozen=True)
class ResultRow:
    """One metric of a group, in words."""

    split: str
    measure: str
    value: str
    interval: str
    clouds: str
    metric: str


@dataclass(frozen=True)
class ResultTable:
    """All metrics of one group, but for those by corruption, which have a table of their own."""

    group: Group
    rows: tuple[ResultRow, ...]

    @property
    def has_intervals(self) -> bool:
        """Whether any row has one: the points of a segmentation, say, are no draws of their own."""
        return any(row.interval for row in self.rows)


def group_by_seed(records: Sequence[Record]) -> list[Group]:
    """Records that differ only in their seed, together, in the order of their first."""
    groups: dict[tuple[str, str, str, str], list[Record]] = {}
    for record in records:
        key = (record.name, record.protocol, _without_seed(record), suite_of(record))
        groups.setdefault(key, []).append(record)
    return [Group(name, protocol, tuple(found)) for (name, protocol, *_), found in groups.items()]


def suite_of(record: Record) -> str:
    """The hash of the suite of corruptions that the record met, on validation clouds where on no others."""
    return record.notes.get("suite hash", record.notes.get("validation suite hash", ""))


def result_tables(material: Material) -> list[ResultTable]:
    """A table for every group of the page's records but those of kinds that have tables of their own."""
    return [
        ResultTable(
            group, tuple(_row(material, group, metric) for metric in group.metrics if is_of_a_split(metric))
        )
        for group in group_by_seed(material.records)
        if group.records[0].kind not in ("analyse", "study", "retrieve", "match")
    ]


def summary(group: Group, metric: str) -> str:
    """The metric's value, or its mean ± sample standard deviation over several seeds."""
    values = group.values(metric)
    if len(values) == 1:
        return figure(metric, values[0])
    mean, deviation = statistics.fmean(values), statistics.stdev(values)
    if is_share(metric):
        return f"{100 * mean:.1f} ± {100 * deviation:.1f}{GAP}%"
    return f"{number(mean)} ± {number(deviation, 2)}"


def interval(material: Material, group: Group, metric: str) -> tuple[float, float, int] | None:
    """Bounds of the accuracy and the clouds they rest on; None for other metrics and unknown splits.

    A released set holds each of its clouds under many conditions, so its rows are not the clouds of one; the
    points of a scene, which a segmentation counts, are no draws of their own; folds ask about some clouds, as
    does a map of the classes that a shifted set shares.
    """
    is_of_clouds = not group.protocol.removeprefix(LEGACY).startswith(("segmentation", "few_shot"))
    if group.records[0].notes.get("origin") == "official" or not is_of_clouds:
        return None
    dataset, split = dataset_of(group.records[0], metric)
    config = group.records[0].config
    transfer = config.get("transfer", config)  # that of a search is within it
    if metric.startswith("shifted") and transfer.get("shifted_classes"):
        return None
    clouds = material.clouds_in(dataset, split) if split in ("validation", "test") else None
    if not clouds or not metric.endswith("/accuracy"):
        return None
    return *wilson_interval(statistics.fmean(group.values(metric)), clouds), clouds


def wilson_interval(share: float, trials: int) -> tuple[float, float]:
    """95 % score interval of a share of successes (Wilson 1927): sound near 0 and 1 and for few trials."""
    z2 = NORMAL_QUANTILE**2
    centre = (share + z2 / (2 * trials)) / (1 + z2 / trials)
    spread = math.sqrt(share * (1 - share) / trials + z2 / (4 * trials**2))
    half = NORMAL_QUANTILE * spread / (1 + z2 / trials)
    return max(0.0, centre - half), min(1.0, centre + half)


def _row(material: Material, group: Group, metric: str) -> ResultRow:
    found = interval(material, group, metric)
    return ResultRow(
        split=split_name(group.records[0], metric),
        measure=measure_name(metric),
        value=summary(group, metric),
        interval=f"{percent(found[0])} to {percent(found[1])}" if found else "",
        clouds=f"{found[2]:,}" if found else "",
        metric=metric,
    )


def _without_seed(record: Record) -> str:
    run = re.sub(rf"-s{record.seed}(?=(-attempt\d+)?$)", "", record.run)
    if record.kind not in ("retrieve", "match"):
        return run
    pretrained = {name: value for name, value in record.config["pretrained"].items() if name != "seed"}
    attempt = run.partition("-attempt")[2]
    return json.dumps([{**record.config, "pretrained": pretrained}, record.datasets, attempt], sort_keys=True)


def _rank(metric: str) -> tuple[int, bool, str]:
    split = metric.rpartition("/")[0]
    return (
        ORDER.index(split) if split in ORDER else len(ORDER),
        not metric.endswith(("accuracy", "miou")),
        metric,
    )
