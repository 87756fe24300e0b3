"""Matching: which point of a frame does a pixel show, and which pixel shows a point, told by cosine alone.

Within one frame the candidates are the points that its picture shows, or the pixels that show them. Every
figure has what a candidate drawn at random would reach beside it, computed exactly from the same frame.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Float64, Int64
from torch import Tensor

from pointlab.evaluation.retrieval import retrieval_metrics, search_gallery
from pointlab.seeding import generator

RECALLS = ("recall_at_1", "recall_at_10", "chance/recall_at_1", "chance/recall_at_10")
"""Of those of a retrieval: among the frame's pairs."""
EXACT = "donot_use_mm_for_euclid_dist"
"""A distance of a place to itself is 0, and not the root of a rounding."""
NUM_RESAMPLES = 2000
"""Of a bootstrap: enough that the second digit of a bound stays."""
CONFIDENCE = 0.95
Figures = dict[str, float]


@dataclass(frozen=True)
class SeenPoints:
    """The points that a picture shows, and what a network says of each of them and of its pixel."""

    points: Float[Tensor, "points 3"]
    pixels: Float[Tensor, "points 2"]
    """(Column, row), real-valued."""
    point_features: Float[Tensor, "points width"]
    pixel_features: Float[Tensor, "points width"]
    point_labels: Int64[Tensor, " points"] | None = None

    def __len__(self) -> int:
        return len(self.points)


@dataclass(frozen=True)
class Matched:
    """What queries of one kind found in a frame: how far from the right place, and the frame's figures."""

    distances: Float64[Tensor, " asked"]
    figures: Figures


def draw_pairs(num_seen: int, num_pairs: int, frame: int) -> Int64[Tensor, " drawn"]:
    """Which of a frame's points are asked about: so many without replacement, all where there are fewer.

    The id of the frame decides, so that every network is asked the same.
    """
    order = generator("matching", "pairs", frame).permutation(num_seen)
    return torch.from_numpy(np.sort(order[:num_pairs]))


def match_points(seen: SeenPoints, asked: Int64[Tensor, " asked"], radii: Sequence[float]) -> Matched:
    """What the pixels of the `asked` points find among all points; `radii` in units of the cloud."""
    asking, found = seen.pixel_features, seen.point_features
    return _match(asking, found, seen.points, asked=asked, labels=seen.point_labels, radii=radii)


def match_pixels(seen: SeenPoints, asked: Int64[Tensor, " asked"], radii: Sequence[float]) -> Matched:
    """What the `asked` points find among the pixels of all points; `radii` in pixels."""
    asking, found = seen.point_features, seen.pixel_features
    return _match(asking, found, seen.pixels, asked=asked, labels=seen.point_labels, radii=radii)


def _match(
    queries: Float[Tensor, "points width"],
    candidates: Float[Tensor, "points width"],
    places: Float[Tensor, "points _"],
    *,
    asked: Int64[Tensor, " asked"],
    labels: Int64[Tensor, " points"] | None,
    radii: Sequence[float],
) -> Matched:
    """`recall_at_<k>`: the share of queries whose own candidate is among the first k of those asked about;
    `median_distance` and `within_<radius>` of the nearest of all candidates to the right one, and how often
    it has the `same_label`; each for a random candidate too, as `chance/...`.
    """
    own, every = torch.arange(len(asked)), torch.arange(len(places))
    ranked = retrieval_metrics(search_gallery(queries[asked], own, candidates[asked], own, num_shown=1))
    nearest = search_gallery(queries[asked], asked, candidates, every, num_shown=1).nearest[:, 0]
    apart = torch.cdist(places[asked].double(), places.double(), compute_mode=EXACT)
    distances = apart[own, nearest]
    figures = {name: ranked[name] for name in RECALLS} | _distances(distances, radii)
    figures |= {f"chance/{name}": value for name, value in _distances(apart.flatten(), radii).items()}
    if labels is not None:
        figures |= _same_label(labels[asked], labels[nearest], labels)
    return Matched(distances, figures)


def _distances(distances: Float64[Tensor, " any"], radii: Sequence[float]) -> Figures:
    """Their median, of an even number the lower one, and which share of them is within each radius."""
    within = {f"within_{radius:g}": float((distances <= radius).double().mean()) for radius in radii}
    return {"median_distance": float(distances.median())} | within


def _same_label(
    wanted: Int64[Tensor, " asked"], found: Int64[Tensor, " asked"], labels: Int64[Tensor, " points"]
) -> Figures:
    """How often what was found has the label of what was asked, where that has one."""
    has_label = wanted >= 0
    if not bool(has_label.any()):
        return {}
    wanted, found = wanted[has_label], found[has_label]
    counts = torch.bincount(labels[labels >= 0], minlength=int(wanted.max()) + 1).double()
    return {
        "same_label": float((wanted == found).double().mean()),
        "chance/same_label": float((counts[wanted] / len(labels)).mean()),
    }


def over_frames(frames: Sequence[Mapping[str, float]], groups: Sequence[str]) -> Figures:
    """The mean of each figure over the frames that have it; of all but chance also the bounds of its
    95 % interval, as `low/...` and `high/...`, where a bootstrap has two groups to draw from.
    """
    found: Figures = {}
    for name in dict.fromkeys(name for frame in frames for name in frame):
        has = [number for number, frame in enumerate(frames) if name in frame]
        values = np.array([frames[number][name] for number in has])
        found[name] = float(values.mean())
        drawn_from = [groups[number] for number in has]
        if not name.startswith("chance/") and len(set(drawn_from)) > 1:
            found[f"low/{name}"], found[f"high/{name}"] = bootstrap(values, drawn_from)
    return found


def bootstrap(values: Float64[np.ndarray, " frames"], groups: Sequence[str]) -> tuple[float, float]:
    """Bounds of the mean's 95 % interval: percentiles over as many groups, drawn again with replacement.

    Frames of one group, such as a room, resemble each other: it is groups that are drawn (Efron and
    Tibshirani, An Introduction to the Bootstrap, 1993, chapter 13), by a key, so always the same.
    """
    _, numbers = np.unique(np.asarray(groups), return_inverse=True)
    sums, counts = np.bincount(numbers, values), np.bincount(numbers)
    drawn = generator("matching", "bootstrap").integers(0, len(sums), (NUM_RESAMPLES, len(sums)))
    means = sums[drawn].sum(1) / counts[drawn].sum(1)
    low, high = np.quantile(means, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    return float(low), float(high)
