"""The tables of a study: its cells, each group of seeds against the baseline, and pooled over many groups.

In a table "" stands for what is not known or cannot be had, as rows hold numbers and words alone.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from pointlab.experiment.matrix import Levels
from pointlab.experiment.resolve import Findings
from pointlab.experiment.study import Cell, StudyExperiment
from pointlab.storage import Record
from pointlab.study.planning import Plan
from pointlab.study.statistics import Difference, paired_difference, pooled_difference, summarise

Row = dict[str, float | str]
ALL = "all"


@dataclass(frozen=True)
class Measured:
    """A finished cell's place and its figure."""

    levels: Levels
    value: float


def findings_of_cells(
    study: StudyExperiment, plan: Plan, records: Mapping[str, Record], errors: Mapping[str, str]
) -> Findings:
    """All tables, and the sums of what was spent; of cells that are not finished, what is known."""
    measured = [
        Measured(cell.levels, records[run].metrics[study.measure])
        for run, cell in plan.cells.items()
        if run in records and study.measure in records[run].metrics
    ]
    metrics = _accuracies(records[run] for run in plan.cells if run in records)
    spent = [records[run] for run in plan.steps if run in records]
    finished, failed = (sum(run in some for run in plan.cells) for some in (records, errors))
    return Findings(
        metrics={"study/cells": float(len(plan.cells)), "study/finished": float(finished)},
        curves={
            "cells": [_cell_row(run, plan, records, errors, metrics) for run in plan.cells],
            "comparison": list(comparison(measured, study.baseline)),
            "pooled": list(pooled(measured, study.baseline)),
        },
        notes={
            "cells": f"{finished} of {len(plan.cells)} finished, {failed} failed",
            "measure": study.measure,
            "baseline": study.baseline,
            "interval": "95 %: Student's over seeds; pooled, a bootstrap of whole pretrained backbones",
        },
        samples_seen=sum(record.samples_seen for record in spent),
        device_seconds=sum(record.device_seconds for record in spent),
    )


def comparison(measured: Iterable[Measured], baseline: str) -> Iterable[Row]:
    """A row for each group of seeds: mean, spread, and the paired difference to the baseline's group."""
    groups: dict[tuple[str, str, str, str, str], dict[int, float]] = {}
    for cell in measured:
        groups.setdefault(_group(cell.levels), {})[cell.levels.seed] = cell.value
    for (start, *others), values in groups.items():
        backbone, route, protocol, labels = others
        summary = summarise(list(values.values()))
        same = groups.get((baseline, backbone, route, protocol, labels))
        has_difference = start != baseline and same is not None
        difference = paired_difference(values, same) if has_difference and same else None
        yield {
            "start": start,
            "backbone": backbone,
            "route": route,
            "protocol": protocol,
            "samples_per_class": labels,
            "mean": summary.mean,
            "deviation": "" if summary.deviation is None else summary.deviation,
            "seeds": float(summary.count),
            **_difference_cells(difference),
            "pairs": 0.0 if difference is None else float(difference.count),
        }


def pooled(measured: Iterable[Measured], baseline: str) -> Iterable[Row]:
    """A row for each start and protocol: the mean difference over routes, labels and seeds.

    Of each backbone, and, where there are several, of all together. A cluster is what rests on one pretrained
    backbone and seed: all labels of one route.
    """
    cells = list(measured)
    base = {_without_start(cell.levels): cell.value for cell in cells if cell.levels.start == baseline}
    others = [cell for cell in cells if cell.levels.start != baseline and _without_start(cell.levels) in base]
    backbones = list(dict.fromkeys(cell.levels.backbone for cell in cells))
    for start in dict.fromkeys(cell.levels.start for cell in others):
        for protocol in dict.fromkeys(cell.levels.protocol for cell in others):
            for backbone in [*([ALL] if len(backbones) > 1 else []), *backbones]:
                clusters: dict[tuple[str, str, int], list[float]] = {}
                for cell in others:
                    at = cell.levels
                    if (at.start, at.protocol) == (start, protocol) and backbone in (ALL, at.backbone):
                        place = (at.backbone, at.route, at.seed)
                        clusters.setdefault(place, []).append(cell.value - base[_without_start(at)])
                difference = pooled_difference(list(clusters.values()), start, protocol, backbone)
                if difference is not None:
                    yield {
                        "start": start,
                        "backbone": backbone,
                        "protocol": protocol,
                        **_difference_cells(difference),
                        "pairs": float(sum(map(len, clusters.values()))),
                        "clusters": float(difference.count),
                    }


def _difference_cells(difference: Difference | None) -> Row:
    interval = difference.interval if difference else None
    return {
        "difference": "" if difference is None else difference.mean,
        "low": "" if interval is None else interval[0],
        "high": "" if interval is None else interval[1],
    }


def _group(levels: Levels) -> tuple[str, str, str, str, str]:
    return levels.start, levels.backbone, levels.route, levels.protocol, _labels(levels)


def _without_start(levels: Levels) -> tuple[str, str, str, str, int]:
    return levels.backbone, levels.route, levels.protocol, _labels(levels), levels.seed


def _labels(levels: Levels) -> str:
    return ALL if levels.samples_per_class is None else str(levels.samples_per_class)


def _accuracies(records: Iterable[Record]) -> list[str]:
    """Every accuracy that some cell has."""
    return sorted({name for record in records for name in record.metrics if name.endswith("/accuracy")})


def _cell_row(
    run: str, plan: Plan, records: Mapping[str, Record], errors: Mapping[str, str], metrics: list[str]
) -> Row:
    record = records.get(run)
    parent = next(iter(plan.steps[run].parents), "")
    return {
        **_place(plan.cells[run]),
        **{name: "" if record is None else record.metrics.get(name, "") for name in metrics},
        "outcome": "finished" if record else "failed" if run in errors else "not run",
        "error": errors.get(run, ""),
        "run": run,
        **_cost(record, ""),
        "pretraining": parent,
        **_cost(records.get(parent), "pretraining_"),
    }


def _place(cell: Cell) -> Row:
    start, backbone, route, protocol, labels = _group(cell.levels)
    return {
        "start": start,
        "backbone": backbone,
        "route": route,
        "protocol": protocol,
        "samples_per_class": labels,
        "seed": float(cell.levels.seed),
    }


def _cost(record: Record | None, prefix: str) -> Row:
    return {
        f"{prefix}samples": "" if record is None else float(record.samples_seen),
        f"{prefix}seconds": "" if record is None else record.device_seconds,
    }
