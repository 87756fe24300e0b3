"""Every segmentation on the page: intersection over union by class, and a scene beside how it was seen."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import plotly.graph_objects as go
from markupsafe import Markup

from pointlab.experiment.segmented import SegmentedScene, read_scene
from pointlab.experiment.shown import has_files
from pointlab.experiment.stored_models import model_manifest
from pointlab.report.collect import Material
from pointlab.report.figures import SHIFTED, TARGET, VALIDATION, Picture, in_percent, label, picture
from pointlab.report.gallery import part_names_of
from pointlab.report.results import ORDER, Group, group_by_seed, summary
from pointlab.report.scenes import ROOM, scene
from pointlab.report.views import LabelledCloud, legend_of, part_name, view_together
from pointlab.report.wording import split_name
from pointlab.storage import Record, Storage

OF_A_CLASS = "/iou/"
MARGIN = {"l": 54, "r": 14, "t": 34, "b": 92}
"""Room for names that stand aslant below the bars."""
COLOURS = {"test": TARGET, "shifted-test": SHIFTED, "target-validation": VALIDATION}


@dataclass(frozen=True)
class SceneRow:
    """One scene of a run, to turn: coloured by its labels, and by what it was taken for."""

    record: Record
    drawings: tuple[tuple[str, Markup], ...]
    legend: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class SegmentationSection:
    """One group of seeds: a table of classes with a column for each split, the bars, and a scene."""

    group: Group
    columns: tuple[str, ...]
    rows: tuple[tuple[str, tuple[str, ...]], ...]
    bars: Picture
    scene: SceneRow | None


def segmentation_sections(storage: Storage, material: Material) -> list[SegmentationSection]:
    """A section for every group of the page's records that was measured class by class.

    Scenes are shown of the first run of each group that was asked for.
    """
    groups = [group for group in group_by_seed(material.records) if _metrics(group)]
    return [_section(storage, material, number, group) for number, group in enumerate(groups)]


def _metrics(group: Group) -> list[str]:
    return [metric for metric in group.metrics if OF_A_CLASS in metric]


def _section(storage: Storage, material: Material, number: int, group: Group) -> SegmentationSection:
    metrics = _metrics(group)
    measured = {metric.partition(OF_A_CLASS)[0] for metric in metrics}
    splits = [split for split in ORDER if split in measured]
    names = list(dict.fromkeys(metric.partition(OF_A_CLASS)[2] for metric in metrics))
    record = group.records[0]
    asked = {one.run for one in material.asked}
    return SegmentationSection(
        group,
        columns=tuple(split_name(record, f"{split}/iou") for split in splits),
        rows=tuple((name, tuple(_cell(group, split, name) for split in splits)) for name in names),
        bars=_bars(f"iou-{number}", group, splits, names),
        scene=_scene_row(storage, record, number, part_names_of(material)) if record.run in asked else None,
    )


def _cell(group: Group, split: str, name: str) -> str:
    metric = f"{split}{OF_A_CLASS}{name}"
    return summary(group, metric) if group.values(metric) else ""


def _bars(name: str, group: Group, splits: Sequence[str], names: Sequence[str]) -> Picture:
    """Classes from the best to the worst on the first split; those that it lacks come last, without a bar."""
    means = {split: _means(group, split, names) for split in splits}
    first = means[splits[0]]
    best_first = sorted(names, key=lambda each: -first.get(each, -1.0))
    traces = []
    for split in splits:
        measured = [each for each in best_first if each in means[split]]
        bars = go.Bar(
            x=[label(each) for each in measured],
            y=in_percent([means[split][each] for each in measured]),
            name=split_name(group.records[0], f"{split}/iou"),
            marker={"color": COLOURS.get(split, TARGET)},
            hovertemplate="%{x}: %{y:.1f} %<extra></extra>",
        )
        traces.append(bars)
    caption = "Intersection over union of every class that occurs in the split" + (
        ", in the mean over seeds." if len(group.records) > 1 else "."
    )
    y = {"ticksuffix": " %", "rangemode": "tozero"}
    return picture(name, traces, {"tickangle": -45}, y, caption, height=340, margin=MARGIN)


def _means(group: Group, split: str, names: Sequence[str]) -> dict[str, float]:
    """Over seeds, of the classes that occur in the split."""
    values = {each: group.values(f"{split}{OF_A_CLASS}{each}") for each in names}
    return {each: float(np.mean(found)) for each, found in values.items() if found}


def _scene_row(storage: Storage, record: Record, number: int, part_names: Sequence[str]) -> SceneRow | None:
    """The scene that the run has left; None where it left none, as one that was not tested."""
    if not has_files(storage, record.run):
        return None
    found = read_scene(storage, record.run)
    clouds = [LabelledCloud(found.points, parts) for parts in _parts(found, _class_names(storage, record))]
    views = view_together(clouds, part_names)
    titles = ("labels", "named by the network")
    drawings = tuple(
        (title, scene([view], f"segmented-{number}-{place}", ROOM))
        for place, (title, view) in enumerate(zip(titles, views, strict=True))
    )
    return SceneRow(record, drawings, tuple(legend_of(views)))


def _class_names(storage: Storage, record: Record) -> tuple[str, ...]:
    return tuple(model_manifest(storage, record.run).details["class_names"])


def _parts(found: SegmentedScene, names: tuple[str, ...]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Class names of the points as labelled and as named by the network."""
    labelled = tuple(part_name(each, names) for each in found.labelled.tolist())
    return labelled, tuple(part_name(each, names) for each in found.named.tolist())
