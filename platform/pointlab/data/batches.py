"""From stream positions to batches: the one path that both feeds take.

`training_arrays` and `evaluation_arrays` return plain NumPy arrays of exactly `num_points` rows a cloud, so
that a Ray Data task and a loop in this process produce the same bytes; `to_batch` wraps them as tensors.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch

from pointlab.data.augmentation import AugmentationConfig, augment, choose_points
from pointlab.data.cache import CachedSplit
from pointlab.data.order import locate
from pointlab.data.sample import Arrays, PointBatch
from pointlab.seeding import KeyedDraws

POINTS_TOGETHER = 1 << 16
"""Points augmented together: their arrays stay within the processor's cache."""


@dataclass(frozen=True)
class Recipe:
    """How training clouds are drawn: the stream's seed, the points of each cloud and its augmentation.

    `inputs` names the optional per-point arrays a paradigm wants beside the points, such as `normals`.
    """

    seed: int
    num_points: int
    augmentation: AugmentationConfig
    inputs: tuple[str, ...] = ()


def training_arrays(split: CachedSplit, positions: np.ndarray, recipe: Recipe) -> Arrays:
    """Arrays of the samples at these stream positions, augmented."""
    epochs, rows = locate(positions, recipe.seed, len(split))
    size = max(1, POINTS_TOGETHER // recipe.num_points)
    parts = [
        _training_part(split, epochs[first : first + size], rows[first : first + size], recipe)
        for first in range(0, len(rows), size)
    ]
    if len(parts) == 1:
        return parts[0]
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def _training_part(split: CachedSplit, epochs: np.ndarray, rows: np.ndarray, recipe: Recipe) -> Arrays:
    draws = KeyedDraws.of("augmentation", recipe.seed, epochs, split.ids[rows])
    available = split.lengths(rows)
    chosen = choose_points(draws, available, recipe.num_points, recipe.augmentation)
    counts = np.minimum(available, recipe.num_points)
    drawn = split.gather(rows, chosen, ("points", *recipe.inputs))
    return _with_padding(split, rows, counts, augment(drawn, recipe.augmentation, draws))


def evaluation_arrays(
    split: CachedSplit, rows: np.ndarray, num_points: int, inputs: tuple[str, ...] = ()
) -> Arrays:
    """Arrays of these rows as stored: the first `num_points` of each cloud, nothing drawn."""
    counts = np.minimum(split.lengths(rows), num_points)
    in_order = np.broadcast_to(np.arange(num_points), (len(rows), num_points))
    return _with_padding(split, rows, counts, split.gather(rows, in_order, ("points", *inputs)))


def _with_padding(split: CachedSplit, rows: np.ndarray, counts: np.ndarray, arrays: Arrays) -> Arrays:
    """With counts, ids and labels; past a cloud's count, points are zero and point labels -1."""
    num_points = arrays["points"].shape[1]
    if (counts < num_points).any():
        is_padding = np.arange(num_points) >= counts[:, None]
        for values in arrays.values():
            values[is_padding] = -1 if values.dtype.kind == "i" else 0
    return {"counts": counts, "ids": split.ids[rows], "labels": split.labels[rows], **arrays}


def to_batch(arrays: Arrays) -> PointBatch:
    """Tensors of these arrays; read-only ones, as Ray hands out, are copied."""
    writable = {name: np.require(array, requirements=("C", "W")) for name, array in arrays.items()}
    return PointBatch(**{name: torch.from_numpy(array) for name, array in writable.items()})


def evaluation_batches(
    split: CachedSplit,
    batch_size: int,
    num_points: int,
    inputs: tuple[str, ...] = (),
    *,
    rank: int = 0,
    world_size: int = 1,
) -> Iterator[PointBatch]:
    """The split in stored order, without augmentation; workers take the batches in turn."""
    for first in range(rank * batch_size, len(split), world_size * batch_size):
        rows = np.arange(first, min(first + batch_size, len(split)))
        yield to_batch(evaluation_arrays(split, rows, num_points, inputs))
