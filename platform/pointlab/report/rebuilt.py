"""Clouds as masked pretrainings rebuilt them: what was hidden of each, and what was made of it."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Bool
from markupsafe import Markup

from pointlab.experiment.rebuilt import RebuiltCloud, read_rebuilt
from pointlab.experiment.shown import spread
from pointlab.report.collect import Material
from pointlab.report.results import group_by_seed
from pointlab.report.scenes import scene
from pointlab.report.thumbnails import thumbnail
from pointlab.report.views import MAX_POINTS, LabelledCloud, View, legend_of, view_together
from pointlab.storage import Record, Storage

MAX_RUNS = 8
"""Pretrainings whose clouds are shown: a study has one for every start and route."""
GIVEN, HIDDEN, REBUILT = "given", "to be rebuilt", "rebuilt"
PARTS = (GIVEN, HIDDEN, REBUILT)
TITLES = ("the cloud", "as it was rebuilt")


@dataclass(frozen=True)
class RebuiltRun:
    """Drawings of the clouds of one pretraining: each as it is, and as it was rebuilt."""

    record: Record
    first: int
    """The number of its first cloud among those of all runs."""
    drawings: tuple[tuple[Markup, Markup], ...]


@dataclass(frozen=True)
class RebuiltSection:
    """Two scenes in which a cloud of any run can be picked, and the drawings of all."""

    scenes: tuple[tuple[str, Markup], ...]
    legend: tuple[tuple[str, str], ...]
    runs: tuple[RebuiltRun, ...]


def rebuilt_section(storage: Storage, material: Material) -> RebuiltSection | None:
    """Of the first seed of each pretraining on the page, or beneath a study on it, that rebuilt clouds; None
    where none did."""
    shown = list(_shown(storage, material))[:MAX_RUNS]
    pairs = [_pair(cloud) for _, clouds in shown for cloud in clouds]
    if not pairs:
        return None
    runs, first = [], 0
    for record, clouds in shown:
        own = pairs[first : first + len(clouds)]
        runs.append(RebuiltRun(record, first, tuple(_drawings(pair, record) for pair in own)))
        first += len(clouds)
    scenes = tuple(
        (title, scene([pair[side] for pair in pairs], f"rebuilt-{side}")) for side, title in enumerate(TITLES)
    )
    return RebuiltSection(scenes, tuple(legend_of(side for pair in pairs for side in pair)), tuple(runs))


def _shown(storage: Storage, material: Material) -> Iterator[tuple[Record, tuple[RebuiltCloud, ...]]]:
    records = {record.run: record for record in material.records} | material.ancestors
    pretrainings = [record for record in records.values() if record.kind == "pretrain"]
    for group in group_by_seed(pretrainings):
        if clouds := read_rebuilt(storage, group.records[0].run):
            yield group.records[0], clouds


def _pair(cloud: RebuiltCloud) -> tuple[View, View]:
    """The cloud in two colours, and what was given of it with what was made; both of one size and place."""
    num_points, num_made = len(cloud.points), len(cloud.rebuilt)
    parts = [GIVEN if is_given else HIDDEN for is_given in cloud.is_given] + [REBUILT] * num_made
    points = np.concatenate([cloud.points, cloud.rebuilt])
    (view,) = view_together([LabelledCloud(points, tuple(parts))], PARTS)
    assert view is not None, "of a cloud that is there"
    is_of_cloud = np.arange(num_points + num_made) < num_points
    is_in_result = np.concatenate([cloud.is_given, np.ones(num_made, bool)])
    return _only(view, is_of_cloud), _only(view, is_in_result)


def _only(view: View, is_wanted: Bool[np.ndarray, " points"]) -> View:
    return replace(view, points=view.points[is_wanted], shades=view.shades[is_wanted])


def _drawings(pair: tuple[View, View], record: Record) -> tuple[Markup, Markup]:
    """At most `MAX_POINTS` of each, an even share."""
    drawings = []
    for view, title in zip(pair, TITLES, strict=True):
        is_drawn = np.zeros(len(view.points), bool)
        is_drawn[spread(len(view.points), MAX_POINTS).numpy()] = True
        drawings.append(thumbnail(_only(view, is_drawn), f"{title}, {record.name}"))
    whole, rebuilt = drawings
    return whole, rebuilt
