"""Accuracies under every corruption at every severity, and what is to be known before comparing them."""

from dataclasses import dataclass

from pointlab.report.collect import Material
from pointlab.report.results import Group, group_by_seed, summary

NOTES = ("suite", "origin", "suite hash", "content hash", "baseline", "comparability", "warning")
"""Notes of an evaluation's record, in the order in which they are shown."""
RATIOS = ("CE", "RCE")


@dataclass(frozen=True)
class CorruptionTable:
    """One group of evaluations: a row for each corruption, whose cells are in the order of `columns`."""

    group: Group
    columns: tuple[str, ...]
    rows: tuple[tuple[str, tuple[str, ...]], ...]
    notes: tuple[tuple[str, str], ...]


def corruption_tables(material: Material) -> list[CorruptionTable]:
    """A table for every group of the page's records that was measured under corruptions."""
    groups = group_by_seed(material.records)
    return [_table(group) for group in groups if group.records[0].kind == "evaluate"]


def _table(group: Group) -> CorruptionTable:
    metrics = group.metrics
    paths = [metric.split("/") for metric in metrics]
    splits = {path[0] for path in paths if len(path) == 4}
    assert len(splits) == 1, "an evaluation measures one split"
    (split,) = splits
    corruptions = dict.fromkeys(path[1] for path in sorted(paths) if len(path) == 4)
    severities = sorted({path[2] for path in paths if len(path) == 4})
    measures = {f"severity {severity}": f"{severity}/accuracy" for severity in severities}
    measures |= {"mean": "accuracy"}
    measures |= {name: name for name in RATIOS if any(path[-1] == name for path in paths)}
    return CorruptionTable(
        group,
        tuple(measures),
        tuple(
            (corruption, tuple(_cell(group, f"{split}/{corruption}/{name}") for name in measures.values()))
            for corruption in corruptions
        ),
        _notes(group),
    )


def _cell(group: Group, metric: str) -> str:
    return summary(group, metric) if group.values(metric) else ""


def _notes(group: Group) -> tuple[tuple[str, str], ...]:
    """What the records note of their clouds; where seeds differ, as their content never does, all of it."""
    found = []
    for name in NOTES:
        values = dict.fromkeys(record.notes[name] for record in group.records if name in record.notes)
        if values:
            found.append((name, " · ".join(values)))
    return tuple(found)
