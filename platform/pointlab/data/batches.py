"""From stream positions to batches: the one path that both feeds take.

`training_arrays` and `evaluation_arrays` return plain NumPy arrays, so that a Ray Data task and a loop in
this process produce the same bytes; `to_batch` wraps them as tensors.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from pointlab.data.augmentation import AugmentationConfig, augment
from pointlab.data.cache import CachedSplit
from pointlab.data.order import locate
from pointlab.data.sample import PointBatch

Arrays = dict[str, np.ndarray]


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
    names = ("points", *recipe.inputs)
    clouds = [
        augment(
            split.arrays(int(row), names),
            recipe.num_points,
            recipe.augmentation,
            (recipe.seed, int(epoch), int(split.ids[row])),
        )
        for epoch, row in zip(epochs, rows, strict=True)
    ]
    return _stack(split, rows, clouds, recipe.num_points)


def evaluation_arrays(
    split: CachedSplit, rows: np.ndarray, num_points: int, inputs: tuple[str, ...] = ()
) -> Arrays:
    """Arrays of these rows as stored: the farthest-point sample of `num_points`, nothing drawn."""
    names = ("points", *inputs)
    clouds = [{k: v[:num_points] for k, v in split.arrays(int(row), names).items()} for row in rows]
    return _stack(split, rows, clouds, num_points)


def _stack(split: CachedSplit, rows: np.ndarray, clouds: Sequence[Arrays], num_points: int) -> Arrays:
    """Zero-padded to exactly `num_points` rows, so that shapes do not depend on the batch."""
    counts = np.array([len(cloud["points"]) for cloud in clouds], np.int64)
    stacked: Arrays = {"counts": counts, "ids": split.ids[rows], "labels": split.labels[rows]}
    for name, first in clouds[0].items():
        fill = -1 if first.dtype.kind == "i" else 0
        stacked[name] = np.full((len(rows), num_points, *first.shape[1:]), fill, first.dtype)
        for target, cloud in zip(stacked[name], clouds, strict=True):
            target[: len(cloud[name])] = cloud[name]
    return stacked


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
