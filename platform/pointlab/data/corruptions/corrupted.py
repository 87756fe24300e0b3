"""Corrupted clouds of a prepared set, made on the fly: each a function of its key and of nothing else.

The key is (suite, seed, sample id, corruption, severity), so a cloud comes out the same whatever the batch,
the order, the worker or the machine. What was made is summed up by a hash that knows no order either.
"""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Float32, Int64

from pointlab.data.batches import to_batch
from pointlab.data.cache import CachedSplit
from pointlab.data.corruptions.contract import (
    FEWEST_POINTS,
    SEVERITIES,
    Condition,
    Corrupted,
    Points,
    to_unit_box,
)
from pointlab.data.corruptions.suites import SUITES, CorruptionSuite
from pointlab.data.sample import Arrays, PointBatch
from pointlab.errors import ConfigError, DataError
from pointlab.seeding import generator

SPARE = 2
"""ModelNet40-C draws its 1,024 points from twice as many; only density_inc is given them all."""


def corrupt(
    points: Points, suite: CorruptionSuite, condition: Condition, *, sample_id: int, num_points: int
) -> Float32[np.ndarray, "corrupted 3"]:
    """The cloud of this id under one condition; `points` are all that is stored of it, in stored order.

    ModelNet-C damages the first `num_points`, ModelNet40-C as many drawn from the first twice as many; its
    occlusion hides among all that are stored, and shows at most `num_points` of those that stay. The stored
    order is that of farthest points, unless the set was prepared otherwise; ModelNet-C's release begins with
    random ones. A cloud with fewer is damaged as a cloud of its own size.

    Raises ConfigError for a corruption or severity that the suite does not have, DataError for a cloud too
    small to be damaged by degrees.
    """
    (corruption, severity), known = condition, SUITES[suite.name]
    if corruption not in known or severity not in SEVERITIES:
        raise ConfigError(
            f"{suite.name} has no {corruption!r} of severity {severity}.",
            expected=f"one of {', '.join(known)}, from 1 to 5",
        )
    draw = generator("corruption", suite.name, suite.seed, sample_id, corruption, severity)
    chosen = _choose(points, suite, corruption, num_points, draw)
    if len(chosen) < FEWEST_POINTS or not np.ptp(chosen, axis=0).any():
        raise DataError(
            f"The cloud {sample_id} has {len(np.unique(chosen, axis=0))} different points to be corrupted.",
            expected=f"{FEWEST_POINTS} points or more, and not all of them at one place",
            remedy="raise num_points, or measure on a denser set",
        )
    corrupted = known[corruption](chosen, severity, draw)
    return _at_most(corrupted, num_points, draw) if corruption == "occlusion" else corrupted


def _at_most(seen: Float32[np.ndarray, "seen 3"], num_points: int, draw: np.random.Generator) -> Corrupted:
    """Some of the points that a camera sees, normalised again."""
    if len(seen) <= num_points:
        return seen
    return to_unit_box(seen[draw.permutation(len(seen))[:num_points]])


def _choose(
    points: Points, suite: CorruptionSuite, corruption: str, num_points: int, draw: np.random.Generator
) -> Float[np.ndarray, "chosen 3"]:
    """The points that a corruption starts from."""
    if suite.name == "modelnet_c":
        return points[:num_points]
    if corruption == "occlusion":
        return points
    points = points[: SPARE * num_points]
    if corruption == "density_inc":
        return points
    return points[draw.permutation(len(points))[:num_points]]


def corrupted_arrays(
    split: CachedSplit,
    rows: Int64[np.ndarray, " rows"],
    suite: CorruptionSuite,
    condition: Condition,
    num_points: int,
) -> Arrays:
    """Arrays of these rows under one condition, as long as the longest of their clouds."""
    clouds = [
        corrupt(
            split.arrays(int(row), ("points",))["points"],
            suite,
            condition,
            sample_id=int(split.ids[row]),
            num_points=num_points,
        )
        for row in rows
    ]
    counts = np.array([len(cloud) for cloud in clouds], np.int64)
    padded = np.zeros((len(clouds), counts.max(), 3), np.float32)
    for target, cloud in zip(padded, clouds, strict=True):
        target[: len(cloud)] = cloud
    return {"points": padded, "counts": counts, "ids": split.ids[rows], "labels": split.labels[rows]}


def corrupted_batches(
    split: CachedSplit, suite: CorruptionSuite, condition: Condition, batch_size: int, num_points: int
) -> Iterator[PointBatch]:
    """The whole split in stored order under one condition."""
    for first in range(0, len(split), batch_size):
        rows = np.arange(first, min(first + batch_size, len(split)))
        yield to_batch(corrupted_arrays(split, rows, suite, condition, num_points))


@dataclass
class ContentHash:
    """What clouds a score was measured on: a sum of their hashes, to which their order is all the same.

    Equal machines give equal sums; another processor may differ in the last bit of a coordinate, and shows.
    """

    total: int = 0
    num_clouds: int = 0

    def add(self, batch: PointBatch, condition: Condition) -> None:
        """Count in every cloud of a batch under one condition."""
        corruption, severity = condition
        for points, count, sample_id in zip(batch.points, batch.counts, batch.ids, strict=True):
            content = points[: int(count)].numpy().astype("<f4").tobytes()
            key = f"{int(sample_id)}/{corruption}/{severity}/{int(count)}/".encode()
            self.merge(ContentHash(int.from_bytes(hashlib.sha256(key + content).digest()), 1))

    def merge(self, other: "ContentHash") -> None:
        """Count in what another worker has seen."""
        self.total = (self.total + other.total) % 2**256
        self.num_clouds += other.num_clouds

    def hexdigest(self) -> str:
        """64 hexadecimal digits."""
        return f"{self.total:064x}"
