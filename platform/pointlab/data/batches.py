"""From stream positions to batches: the one path that both feeds take.

`training_arrays` and `evaluation_arrays` return plain NumPy arrays of exactly `num_points` rows a cloud, so
that a Ray Data task and a loop in this process produce the same bytes; `to_batch` wraps them as tensors.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Int64

from pointlab.data.augmentation import OVERSAMPLING, AugmentationConfig, choose_points, draw_copy
from pointlab.data.batch_pictures import PER_SAMPLE, with_pictures
from pointlab.data.cache import CachedSplit
from pointlab.data.order import locate
from pointlab.data.partial_clouds import in_window
from pointlab.data.picture_crops import PictureCropConfig
from pointlab.data.sample import Arrays, PointBatch
from pointlab.seeding import KeyedDraws

POINTS_TOGETHER = 1 << 16
"""Points augmented together: their arrays stay within the processor's cache."""


@dataclass(frozen=True)
class Recipe:
    """How training clouds are drawn: the stream's seed, the points of each cloud and its augmentation.

    `inputs` names the optional arrays a paradigm wants beside the points, such as `normals` or `pictures`,
    and `num_views` how many augmented copies of each sample. `subset` are the rows of the split that are
    trained on; None: all of them. `pictures` says how pictures are cut and resized; None: as stored.
    `min_points` of a cloud are what the network takes, for which windows grow.
    """

    seed: int
    num_points: int
    augmentation: AugmentationConfig
    inputs: tuple[str, ...] = ()
    num_views: int = 1
    subset: Int64[np.ndarray, " rows"] | None = None
    pictures: PictureCropConfig | None = None
    min_points: int = 1


def training_arrays(split: CachedSplit, positions: np.ndarray, recipe: Recipe) -> Arrays:
    """Arrays of the samples at these stream positions, augmented; further views come as `view1/points`."""
    num_rows = len(split) if recipe.subset is None else len(recipe.subset)
    epochs, rows = locate(positions, recipe.seed, num_rows)
    if recipe.subset is not None:
        rows = recipe.subset[rows]
    arrays = _augmented(split, rows, recipe, ("augmentation", recipe.seed, epochs))
    draws = KeyedDraws.of("augmentation", recipe.seed, epochs, split.ids[rows])
    return with_pictures(arrays, split, rows, recipe.inputs, config=recipe.pictures, draws=draws)


def _augmented(
    split: CachedSplit, rows: np.ndarray, recipe: Recipe, key: tuple[str, int, np.ndarray]
) -> Arrays:
    """All views of these rows; `key` and the sample id decide the draws."""
    name, seed, epochs = key
    size = max(1, POINTS_TOGETHER // recipe.num_points)
    parts = []
    for first in range(0, len(rows), size):
        block = slice(first, first + size)
        ids = split.ids[rows[block]]
        part: Arrays = {"ids": ids, "labels": split.labels[rows[block]]}
        window = _window(split, rows[block], recipe, KeyedDraws.of(name, seed, epochs[block], ids))
        for view in range(recipe.num_views):
            # the first view has the draws of a sample that is seen once
            draws = KeyedDraws.of(name, seed, epochs[block], ids, *[view] * (view > 0))
            arrays = _view(split, rows[block], recipe, draws, window)
            part |= {_in_view(array, view): values for array, values in arrays.items()}
        parts.append(part)
    if len(parts) == 1:
        return parts[0]
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def _window(
    split: CachedSplit, rows: Int64[np.ndarray, " clouds"], recipe: Recipe, draws: KeyedDraws
) -> tuple[Int64[np.ndarray, " clouds"], Int64[np.ndarray, "clouds places"] | None]:
    """How many points of each cloud may be shown, and their places; None: the first ones, of all of them.

    The window is drawn once for all views: who compares them looks for the same points in both.
    """
    if recipe.augmentation.window is None:
        return split.lengths(rows), None
    most = round(recipe.num_points * OVERSAMPLING)
    fewest = math.ceil(recipe.min_points / recipe.augmentation.least_share)  # before parts are left out
    places, available = in_window(split, rows, recipe.augmentation.window, most, draws, fewest=fewest)
    return available, places


def _view(
    split: CachedSplit,
    rows: Int64[np.ndarray, " clouds"],
    recipe: Recipe,
    draws: KeyedDraws,
    window: tuple[Int64[np.ndarray, " clouds"], Int64[np.ndarray, "clouds places"] | None],
) -> Arrays:
    """One augmented copy of each of these clouds."""
    available, places = window
    chosen = choose_points(draws, available, recipe.num_points, recipe.augmentation)
    if places is not None:
        chosen = np.take_along_axis(places, chosen, axis=1)
    counts = np.minimum(available, recipe.num_points)
    drawn = _gathered(split, rows, chosen, recipe.inputs)
    arrays, counts = draw_copy(drawn, counts, recipe.augmentation, draws)
    return _with_padding(counts, arrays)


def _gathered(
    split: CachedSplit,
    rows: Int64[np.ndarray, " clouds"],
    places: Int64[np.ndarray, "clouds places"],
    inputs: tuple[str, ...],
) -> Arrays:
    """Points and further inputs at these places; `rows`, by which pixels are found, are the places."""
    stored = (name for name in inputs if name not in ("rows", "pixels", *PER_SAMPLE))
    arrays = split.gather(rows, places, ("points", *stored))
    return arrays | {"rows": places.astype(np.int64)} if {"rows", "pixels"} & set(inputs) else arrays


def _in_view(name: str, view: int) -> str:
    return f"view{view}/{name}" if view else name


def evaluation_arrays(
    split: CachedSplit,
    rows: np.ndarray,
    num_points: int,
    inputs: tuple[str, ...] = (),
    pictures: PictureCropConfig | None = None,
) -> Arrays:
    """Arrays of these rows as stored: the first `num_points` of each cloud, nothing drawn.

    Of `pictures` only the size counts.
    """
    counts = np.minimum(split.lengths(rows), num_points)
    in_order = np.broadcast_to(np.arange(num_points), (len(rows), num_points))
    arrays = _with_padding(counts, _gathered(split, rows, in_order, inputs))
    arrays = {"ids": split.ids[rows], "labels": split.labels[rows], **arrays}
    return with_pictures(arrays, split, rows, inputs, config=pictures)


def _with_padding(counts: np.ndarray, arrays: Arrays) -> Arrays:
    """With counts; past a cloud's count, coordinates are zero and indices -1."""
    num_points = arrays["points"].shape[1]
    if (counts < num_points).any():
        is_padding = np.arange(num_points) >= counts[:, None]
        for values in arrays.values():
            values[is_padding] = -1 if values.dtype.kind == "i" else 0
    return {"counts": counts, **arrays}


def to_batch(arrays: Arrays) -> PointBatch:
    """Tensors of these arrays; read-only ones, as Ray hands out, are copied."""
    tensors = {
        name: torch.from_numpy(np.require(array, requirements=("C", "W"))) for name, array in arrays.items()
    }
    views: dict[str, dict[str, Any]] = {}
    for name, tensor in tensors.items():
        view, _, array = name.rpartition("/")
        views.setdefault(view, {})[array] = tensor
    first = views.pop("")
    shared: dict[str, Any] = {name: first[name] for name in first if name in ("ids", "labels")}
    return PointBatch(**first, views=tuple(PointBatch(**shared | own) for own in views.values()))


def evaluation_batches(
    split: CachedSplit,
    batch_size: int,
    num_points: int,
    inputs: tuple[str, ...] = (),
    pictures: PictureCropConfig | None = None,
    *,
    rows: Int64[np.ndarray, " rows"] | None = None,
    rank: int = 0,
    world_size: int = 1,
) -> Iterator[PointBatch]:
    """The split, or these of its rows, in stored order without augmentation; workers take batches in turn."""
    rows = np.arange(len(split)) if rows is None else rows
    for first in range(rank * batch_size, len(rows), world_size * batch_size):
        block = rows[first : first + batch_size]
        yield to_batch(evaluation_arrays(split, block, num_points, inputs, pictures))


def view_batches(
    split: CachedSplit,
    batch_size: int,
    recipe: Recipe,
    *,
    rows: Int64[np.ndarray, " rows"] | None = None,
    rank: int = 0,
    world_size: int = 1,
) -> Iterator[PointBatch]:
    """The split, or these of its rows, in stored order, in augmented views that are the same every time: to
    validate on views."""
    rows = np.arange(len(split)) if rows is None else rows
    for first in range(rank * batch_size, len(rows), world_size * batch_size):
        block = rows[first : first + batch_size]
        arrays = _augmented(split, block, recipe, ("validation", recipe.seed, np.zeros_like(block)))
        yield to_batch(with_pictures(arrays, split, block, recipe.inputs, config=recipe.pictures))
