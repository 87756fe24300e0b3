"""From stream positions to batches: the one path that both feeds take.

`training_arrays` and `evaluation_arrays` return plain NumPy arrays of exactly `num_points` rows a cloud, so
that a Ray Data task and a loop in this process produce the same bytes; `to_batch` wraps them as tensors.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Int64

from pointlab.data.augmentation import AugmentationConfig, augment, choose_points, crop
from pointlab.data.cache import CachedSplit
from pointlab.data.order import locate
from pointlab.data.sample import Arrays, PointBatch
from pointlab.seeding import KeyedDraws

PER_SAMPLE = ("pictures", "picture_numbers", "captions")
"""Inputs that belong to a sample as a whole; all others have a row for each point."""
POINTS_TOGETHER = 1 << 16
"""Points augmented together: their arrays stay within the processor's cache."""


@dataclass(frozen=True)
class Recipe:
    """How training clouds are drawn: the stream's seed, the points of each cloud and its augmentation.

    `inputs` names the optional arrays a paradigm wants beside the points, such as `normals` or `pictures`,
    and `num_views` how many augmented copies of each sample. `subset` are the rows of the split that are
    trained on; None: all of them.
    """

    seed: int
    num_points: int
    augmentation: AugmentationConfig
    inputs: tuple[str, ...] = ()
    num_views: int = 1
    subset: Int64[np.ndarray, " rows"] | None = None


def training_arrays(split: CachedSplit, positions: np.ndarray, recipe: Recipe) -> Arrays:
    """Arrays of the samples at these stream positions, augmented; further views come as `view1/points`."""
    num_rows = len(split) if recipe.subset is None else len(recipe.subset)
    epochs, rows = locate(positions, recipe.seed, num_rows)
    if recipe.subset is not None:
        rows = recipe.subset[rows]
    arrays = _augmented(split, rows, recipe, ("augmentation", recipe.seed, epochs))
    draws = KeyedDraws.of("augmentation", recipe.seed, epochs, split.ids[rows])
    return arrays | _of_samples(split, rows, recipe.inputs, draws.uniform("picture", 1)[:, 0])


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
        for view in range(recipe.num_views):
            # the first view has the draws of a sample that is seen once
            draws = KeyedDraws.of(name, seed, epochs[block], ids, *[view] * (view > 0))
            arrays = _view(split, rows[block], recipe, draws)
            part |= {_in_view(array, view): values for array, values in arrays.items()}
        parts.append(part)
    if len(parts) == 1:
        return parts[0]
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def _view(split: CachedSplit, rows: np.ndarray, recipe: Recipe, draws: KeyedDraws) -> Arrays:
    """One augmented copy of each of these clouds."""
    available = split.lengths(rows)
    chosen = choose_points(draws, available, recipe.num_points, recipe.augmentation)
    counts = np.minimum(available, recipe.num_points)
    drawn = _gathered(split, rows, chosen, recipe.inputs)
    if recipe.augmentation.crop is not None:
        drawn, counts = crop(drawn, counts, draws, recipe.augmentation.crop)
    return _with_padding(counts, augment(drawn, recipe.augmentation, draws))


def _gathered(split: CachedSplit, rows: np.ndarray, places: np.ndarray, inputs: tuple[str, ...]) -> Arrays:
    """Points and further inputs at these places; `rows` are the places themselves."""
    stored = (name for name in inputs if name not in ("rows", *PER_SAMPLE))
    arrays = split.gather(rows, places, ("points", *stored))
    return arrays | {"rows": places.astype(np.int64)} if "rows" in inputs else arrays


def _of_samples(
    split: CachedSplit, rows: np.ndarray, inputs: tuple[str, ...], draws: np.ndarray | None = None
) -> Arrays:
    """Those of the inputs that belong to samples; without draws, the picture of each is its first.

    Whoever asks for pictures gets their numbers too, which alone tell a missing one from a black one.
    """
    arrays: Arrays = {}
    if "pictures" in inputs or "picture_numbers" in inputs:
        numbers = split.picture_numbers(rows, np.zeros(len(rows)) if draws is None else draws)
        arrays["picture_numbers"] = numbers
        if "pictures" in inputs:
            arrays["pictures"] = split.decoded(numbers)
    if "captions" in inputs:
        arrays["captions"] = split.captions(rows)
    return arrays


def _in_view(name: str, view: int) -> str:
    return f"view{view}/{name}" if view else name


def evaluation_arrays(
    split: CachedSplit, rows: np.ndarray, num_points: int, inputs: tuple[str, ...] = ()
) -> Arrays:
    """Arrays of these rows as stored: the first `num_points` of each cloud, nothing drawn."""
    counts = np.minimum(split.lengths(rows), num_points)
    in_order = np.broadcast_to(np.arange(num_points), (len(rows), num_points))
    arrays = _with_padding(counts, _gathered(split, rows, in_order, inputs))
    of_samples = _of_samples(split, rows, inputs)
    return {"ids": split.ids[rows], "labels": split.labels[rows], **arrays, **of_samples}


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
    *,
    rows: Int64[np.ndarray, " rows"] | None = None,
    rank: int = 0,
    world_size: int = 1,
) -> Iterator[PointBatch]:
    """The split, or these of its rows, in stored order without augmentation; workers take batches in turn."""
    rows = np.arange(len(split)) if rows is None else rows
    for first in range(rank * batch_size, len(rows), world_size * batch_size):
        yield to_batch(evaluation_arrays(split, rows[first : first + batch_size], num_points, inputs))


def view_batches(
    split: CachedSplit, batch_size: int, recipe: Recipe, *, rank: int = 0, world_size: int = 1
) -> Iterator[PointBatch]:
    """The split in stored order, in augmented views that are the same every time: to validate on views."""
    for first in range(rank * batch_size, len(split), world_size * batch_size):
        rows = np.arange(first, min(first + batch_size, len(split)))
        arrays = _augmented(split, rows, recipe, ("validation", recipe.seed, np.zeros_like(rows)))
        yield to_batch(arrays | _of_samples(split, rows, recipe.inputs))
