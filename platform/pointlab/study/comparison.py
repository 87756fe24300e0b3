"""Starts against the baseline: each group of seeds by itself, and pooled over routes, labels and seeds.

Every measure is compared by itself. In a table "" stands for what is not known or cannot be had, as rows hold
numbers and words alone.
"""

import itertools
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from pointlab.experiment.matrix import ALL, Levels
from pointlab.study.bootstrap import bootstrap_interval
from pointlab.study.clusters import Draw, Stratum, strata_of
from pointlab.study.statistics import paired, pooled_difference, summarise

Row = dict[str, float | str]
TOGETHER = "all backbones"
"""The note that says which these are, where some of them have one seed."""


@dataclass(frozen=True)
class Measured:
    """One figure of a finished cell: where the cell lies, what was measured, the run of its pretraining, ""
    where it has none, and whether it has habits of released code."""

    levels: Levels
    measure: str
    value: float
    pretraining: str
    is_legacy: bool = False


@dataclass(frozen=True)
class Pair:
    """A cell against the baseline's at the same place."""

    measure: str
    levels: Levels
    difference: float
    cluster: tuple[str, str, int]
    """The pretrained backbones that the two rest on, and the seed: what gives one draw, and not two."""


def comparison(measured: Iterable[Measured], baseline: str) -> Iterator[Row]:
    """A row for each group of seeds: mean, spread, and the paired difference to the baseline's group.

    The best of the seeds is told of cells with habits of released code alone, as their papers tell it.
    """
    groups: dict[tuple[str, tuple[str, ...]], dict[int, float]] = {}
    legacy = set()
    for cell in measured:
        key = (cell.measure, group_of(cell.levels))
        groups.setdefault(key, {})[cell.levels.seed] = cell.value
        if cell.is_legacy:
            legacy.add(key)
    for (measure, (start, *others)), values in groups.items():
        same = groups.get((measure, (baseline, *others)), {}) if start != baseline else {}
        backbone, route, protocol, labels = others
        summary = summarise(list(values.values()))
        found = paired(values, same)
        yield {
            "measure": measure,
            "start": start,
            "backbone": backbone,
            "route": route,
            "protocol": protocol,
            "samples_per_class": labels,
            "mean": summary.mean,
            "deviation": "" if summary.deviation is None else summary.deviation,
            "seeds": float(summary.count),
            "best": max(values.values()) if (measure, (start, *others)) in legacy else "",
            **_difference_cells([Stratum(np.array(found)[:, None], 1.0)] if found else []),
            "pairs": float(len(found)),
        }


def pooled(measured: Iterable[Measured], baseline: str) -> Iterator[Row]:
    """A row for each measure, start and protocol: the mean difference over routes, labels and seeds.

    Of each backbone, and, where there are several, of all together; every route counts alike, and within it
    every pretrained backbone. Of all are those with several seeds, if there are any: a backbone that was
    trained once says nothing of how training varies, and would leave the others without an interval.
    """
    groups: dict[str, list[Pair]] = {}
    for pair in _pairs(list(measured), baseline):
        groups.setdefault(pair.measure, []).append(pair)
    for measure, pairs in groups.items():
        for row in _pooled(pairs):
            yield {"measure": measure, **row}


def _pooled(pairs: Sequence[Pair]) -> Iterator[Row]:
    """The rows of one measure."""
    backbones = list(dict.fromkeys(pair.levels.backbone for pair in pairs))
    together = repeated(pair.levels for pair in pairs)
    for start, protocol, backbone in itertools.product(
        dict.fromkeys(pair.levels.start for pair in pairs),
        dict.fromkeys(pair.levels.protocol for pair in pairs),
        [*([ALL] if len(backbones) > 1 else []), *backbones],
    ):
        chosen = [
            pair
            for pair in pairs
            if (pair.levels.start, pair.levels.protocol) == (start, protocol)
            and pair.levels.backbone in (together if backbone == ALL else [backbone])
        ]
        strata = strata_of(_draw(pair) for pair in chosen)
        if strata:
            yield {
                "start": start,
                "backbone": backbone,
                "protocol": protocol,
                **_difference_cells(strata),
                "pairs": float(len(chosen)),
                "clusters": float(sum(len(stratum.clusters) for stratum in strata)),
            }


def repeated(cells: Iterable[Levels]) -> list[str]:
    """The backbones with several seeds; all where none has."""
    seeds: dict[str, set[int]] = {}
    for levels in cells:
        seeds.setdefault(levels.backbone, set()).add(levels.seed)
    return [backbone for backbone, found in seeds.items() if len(found) > 1] or list(seeds)


def _pairs(cells: Sequence[Measured], baseline: str) -> Iterator[Pair]:
    base = {(cell.measure, place_of(cell.levels)): cell for cell in cells if cell.levels.start == baseline}
    for cell in cells:
        other = base.get((cell.measure, place_of(cell.levels)))
        if other is not None and cell.levels.start != baseline:
            cluster = (cell.pretraining, other.pretraining, cell.levels.seed)
            yield Pair(cell.measure, cell.levels, cell.value - other.value, cluster)


def _draw(pair: Pair) -> Draw:
    return Draw(pair.levels.backbone, pair.levels.route, pair.cluster, np.array([pair.difference]))


def _difference_cells(strata: Sequence[Stratum]) -> Row:
    """The mean difference, Student's interval, and the one of resampled clusters."""
    difference = pooled_difference(
        [stratum.clusters[:, 0].tolist() for stratum in strata], [stratum.weight for stratum in strata]
    )
    low, high = _ends(difference.interval if difference else None)
    bootstrap_low, bootstrap_high = _ends(bootstrap_interval(strata))
    return {
        "difference": "" if difference is None else difference.mean,
        "low": low,
        "high": high,
        "bootstrap_low": bootstrap_low,
        "bootstrap_high": bootstrap_high,
    }


def _ends(interval: tuple[float, float] | None) -> tuple[float | str, float | str]:
    return interval or ("", "")


def group_of(levels: Levels) -> tuple[str, str, str, str, str]:
    """The group of seeds that a cell belongs to: its start, backbone, route, protocol and labels."""
    return levels.start, levels.backbone, levels.route, levels.protocol, levels.labels


def place_of(levels: Levels) -> tuple[str, str, str, str, int]:
    """Where cells of different starts meet."""
    return levels.backbone, levels.route, levels.protocol, levels.labels, levels.seed
