"""Starts against the baseline: each group of seeds by itself, and pooled over routes, labels and seeds.

In a table "" stands for what is not known or cannot be had, as rows hold numbers and words alone.
"""

import itertools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

from pointlab.experiment.matrix import ALL, Levels
from pointlab.study.statistics import Difference, paired_difference, pooled_difference, summarise

Row = dict[str, float | str]


@dataclass(frozen=True)
class Measured:
    """A finished cell's place, its figure, the run of its pretraining, "" where it has none, and whether it
    has habits of released code."""

    levels: Levels
    value: float
    pretraining: str
    is_legacy: bool = False


@dataclass(frozen=True)
class Pair:
    """A cell against the baseline's at the same place."""

    levels: Levels
    difference: float
    cluster: tuple[str, str, int]
    """The pretrained backbones that the two rest on, and the seed: what gives one draw, and not two."""


def comparison(measured: Iterable[Measured], baseline: str) -> Iterable[Row]:
    """A row for each group of seeds: mean, spread, and the paired difference to the baseline's group.

    The best of the seeds is told of cells with habits of released code alone, as their papers tell it.
    """
    groups: dict[tuple[str, str, str, str, str], dict[int, float]] = {}
    legacy = set()
    for cell in measured:
        groups.setdefault(group_of(cell.levels), {})[cell.levels.seed] = cell.value
        if cell.is_legacy:
            legacy.add(group_of(cell.levels))
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
            "best": max(values.values()) if (start, *others) in legacy else "",
            **_difference_cells(difference),
            "pairs": 0.0 if difference is None else float(difference.count),
        }


def pooled(measured: Iterable[Measured], baseline: str) -> Iterable[Row]:
    """A row for each start and protocol: the mean difference over routes, labels and seeds.

    Of each backbone, and, where there are several, of all together; every route counts alike, and within it
    every pretrained backbone.
    """
    pairs = list(_pairs(list(measured), baseline))
    backbones = list(dict.fromkeys(pair.levels.backbone for pair in pairs))
    for start, protocol, backbone in itertools.product(
        dict.fromkeys(pair.levels.start for pair in pairs),
        dict.fromkeys(pair.levels.protocol for pair in pairs),
        [*([ALL] if len(backbones) > 1 else []), *backbones],
    ):
        chosen = [
            pair
            for pair in pairs
            if (pair.levels.start, pair.levels.protocol) == (start, protocol)
            and backbone in (ALL, pair.levels.backbone)
        ]
        strata = _strata(chosen)
        difference = pooled_difference(list(strata.values()), [float(len(routes)) for _, routes in strata])
        if difference is not None:
            yield {
                "start": start,
                "backbone": backbone,
                "protocol": protocol,
                **_difference_cells(difference),
                "pairs": float(len(chosen)),
                "clusters": float(difference.count),
            }


def _pairs(cells: Sequence[Measured], baseline: str) -> Iterable[Pair]:
    base = {place_of(cell.levels): cell for cell in cells if cell.levels.start == baseline}
    for cell in cells:
        other = base.get(place_of(cell.levels))
        if other is not None and cell.levels.start != baseline:
            cluster = (cell.pretraining, other.pretraining, cell.levels.seed)
            yield Pair(cell.levels, cell.value - other.value, cluster)


def _strata(pairs: Iterable[Pair]) -> Mapping[tuple[str, tuple[str, ...]], list[float]]:
    """Each cluster's mean difference, by backbone and by the routes that rest on the same pretraining.

    Routes that share none are strata of their own.
    """
    clusters: dict[tuple[str, tuple[str, str, int]], dict[str, list[float]]] = {}
    for pair in pairs:
        routes = clusters.setdefault((pair.levels.backbone, pair.cluster), {})
        routes.setdefault(pair.levels.route, []).append(pair.difference)
    strata: dict[tuple[str, tuple[str, ...]], list[float]] = {}
    for (backbone, _), routes in clusters.items():
        mean = fmean(fmean(differences) for differences in routes.values())
        strata.setdefault((backbone, tuple(sorted(routes))), []).append(mean)
    return strata


def _difference_cells(difference: Difference | None) -> Row:
    interval = difference.interval if difference else None
    return {
        "difference": "" if difference is None else difference.mean,
        "low": "" if interval is None else interval[0],
        "high": "" if interval is None else interval[1],
    }


def group_of(levels: Levels) -> tuple[str, str, str, str, str]:
    """The group of seeds that a cell belongs to: its start, backbone, route, protocol and labels."""
    return levels.start, levels.backbone, levels.route, levels.protocol, levels.labels


def place_of(levels: Levels) -> tuple[str, str, str, str, int]:
    """Where cells of different starts meet."""
    return levels.backbone, levels.route, levels.protocol, levels.labels, levels.seed
