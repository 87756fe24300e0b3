"""What a matching found, in a sentence and in key figures: each beside that of a random candidate."""

import statistics
from collections.abc import Iterator

from pointlab.experiment.matched import DISTANCES, METRES
from pointlab.report.results import Group
from pointlab.report.wording import GAP, percent
from pointlab.storage import Record

DIRECTIONS = {"pixel_to_point": "From pixel to point", "point_to_pixel": "From point to pixel"}
"""In the order of a page."""
HEADLINE = "pixel_to_point/median_distance"
"""What frames are ordered by."""
IN_SENTENCE = ("recall_at_10", "median_distance")
PIXELS = f"{GAP}px"


def measured(record: Record) -> Iterator[tuple[str, str]]:
    """Direction and name of each measure of the record, in its order."""
    for metric in record.metrics:
        _, direction, *name = metric.split("/")
        if direction in DIRECTIONS and len(name) == 1:
            yield direction, name[0]


def value_of(record: Record, direction: str, name: str) -> float:
    """The figure, such as `chance/recall_at_1`."""
    return record.metrics[f"{_split_of(record)}/{direction}/{name}"]


def bounds_of(record: Record, direction: str, name: str) -> tuple[float, ...]:
    """Both ends of its 95 % interval; none where frames of a single place were seen."""
    names = [f"{_split_of(record)}/{direction}/{end}/{name}" for end in ("low", "high")]
    return tuple(record.metrics[name] for name in names if name in record.metrics)


def unit_of(record: Record) -> str:
    """What stands behind a distance between points: nothing for a set that is not in metres."""
    return f"{GAP}m" if record.notes.get(DISTANCES) == METRES else ""


def measures_of(name: str, direction: str, unit: str) -> str:
    """A measure in words."""
    what = direction.rpartition("_")[2]
    if name.startswith("recall_at_"):
        depth = name.rpartition("_")[2]
        place = "first" if depth == "1" else f"among the first {depth}"
        return f"right {what} {place} of the pairs"
    if name.startswith("within_"):
        return f"found {what} within {name.rpartition('_')[2]}{_unit(direction, unit)}"
    if name == "same_label":
        return f"found {what} of the same part"
    return f"median distance of the found {what}"


def told(name: str, value: float, direction: str, unit: str) -> str:
    """A figure in words: distances with their unit, shares in percent."""
    if name == "median_distance":
        return f"{value:.{1 if direction == 'point_to_pixel' else 2}f}{_unit(direction, unit)}"
    return percent(value)


def _unit(direction: str, unit: str) -> str:
    return PIXELS if direction == "point_to_pixel" else unit


def matching_finding(group: Group) -> str:
    """How far from the right point what a pixel calls nearest lies, and how often it is right; over seeds,
    the mean."""
    first = group.records[0]
    split, unit = _split_of(first), unit_of(first)
    frames, pairs = (first.metrics[f"{split}/{count}"] for count in ("frames", "pairs_per_frame"))
    return (
        f"in {frames:,.0f} {split} frames the point that a pixel finds by cosine lies"
        f" {_reached(group, 'median_distance', unit)} from the right one in the median"
        f" ({_chance(first, 'median_distance', unit)} by chance), and the right one is among the first ten"
        f" of {pairs:,.0f} for {_reached(group, 'recall_at_10', unit)}"
        f" ({_chance(first, 'recall_at_10', unit)}){_over(group)}."
    )


def matching_figures(group: Group) -> Iterator[tuple[str, str, str]]:
    """Label, value and note of the figures that a reader looks for first."""
    first = group.records[0]
    unit = unit_of(first)
    for name in (*IN_SENTENCE, *(["same_label"] if _has_labels(first) else [])):
        note = f"{_chance(first, name, unit)} by chance"
        bounds = bounds_of(first, "pixel_to_point", name)
        if len(group.records) == 1 and bounds:
            low, high = (told(name, bound, "pixel_to_point", unit) for bound in bounds)
            note += f"; 95 % interval {low} to {high}"
        yield (
            measures_of(name, "pixel_to_point", unit),
            _reached(group, name, unit),
            note + _over(group, "; "),
        )


def _has_labels(record: Record) -> bool:
    return ("pixel_to_point", "same_label") in measured(record)


def _reached(group: Group, name: str, unit: str) -> str:
    values = [value_of(record, "pixel_to_point", name) for record in group.records]
    mean = told(name, statistics.fmean(values), "pixel_to_point", unit)
    if len(values) == 1:
        return mean
    return f"{mean} ± {told(name, statistics.stdev(values), 'pixel_to_point', unit)}"


def _chance(record: Record, name: str, unit: str) -> str:
    """The same for all seeds, as they are asked the same of the same frames."""
    return told(name, value_of(record, "pixel_to_point", f"chance/{name}"), "pixel_to_point", unit)


def _over(group: Group, before: str = " (") -> str:
    seeds = len(group.records)
    if seeds == 1:
        return ""
    return f"{before}mean and deviation over {seeds} seeds" + (")" if before == " (" else "")


def _split_of(record: Record) -> str:
    return record.protocol.rpartition("/")[2]
