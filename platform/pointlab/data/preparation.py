"""Preparation: from a source's rows to shards, as plain functions that any worker can run in any order.

`make_plan` fixes, from names and headers alone, which rows go into which shard: splits, the seeded global
shuffle and the shard borders. `make_shard` then turns one entry of the plan into one file, and depends on
nothing else; shards come out with the same bytes whoever makes them.
"""

import hashlib
import json
import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch

from pointlab.data.dataset import DatasetConfig, dataset_id, file_sha256
from pointlab.data.manifest import DatasetManifest
from pointlab.data.sample import Cloud
from pointlab.data.shards import PreparedCloud, encode_shard
from pointlab.data.source import SourceIndex, SourceRow, Split
from pointlab.errors import DataError
from pointlab.geometry import farthest_point_sample
from pointlab.seeding import generator, stable_integer
from pointlab.storage import FileEntry, Manifest, Storage, seal
from pointlab.storage.artifact import put

SPLITS: tuple[Split, ...] = ("train", "validation", "test")
SAMPLING_BLOCK = 64
"""Clouds sampled together: enough to amortise the loop, small enough for the processor's cache."""


@dataclass(frozen=True)
class ShardPlan:
    """One shard to be made: its file name and the rows in it, with their sample ids."""

    file: str
    split: Split
    rows: tuple[SourceRow, ...]
    ids: tuple[int, ...]


@dataclass(frozen=True)
class Plan:
    """A whole preparation: the set's name, what the source holds, and every shard."""

    name: str
    index: SourceIndex
    shards: tuple[ShardPlan, ...]


@dataclass(frozen=True)
class ShardResult:
    """What became of a planned shard: its manifest entry, the ids kept, the rows dropped by reason."""

    file: str
    split: Split
    entry: FileEntry
    kept: list[int]
    dropped: dict[str, int]


def make_plan(config: DatasetConfig) -> Plan:
    """Shards of the set that `config` describes; DataError where the source is not as it should be."""
    index = config.source.index(config.root_path)
    by_split = _assign_splits(config, index)
    shards = [shard for split in SPLITS for shard in _shards_of(config, split, by_split[split])]
    return Plan(dataset_id(config, index), index, tuple(shards))


def sample_id(config: DatasetConfig, row: SourceRow) -> int:
    """Identity of a source row: stable under resampling, splitting and the order of reading."""
    return stable_integer(config.name, row.file, row.row)


def _assign_splits(config: DatasetConfig, index: SourceIndex) -> dict[Split, list[SourceRow]]:
    """Rows by split; where the source has no validation split, the lowest hashes of each class become it."""
    by_split: dict[Split, list[SourceRow]] = {split: [] for split in SPLITS}
    for row in index.rows:
        by_split[row.split].append(row)
    if by_split["validation"] or config.validation_fraction == 0:
        return by_split
    by_class: dict[int | None, list[SourceRow]] = {}
    for row in by_split["train"]:
        by_class.setdefault(row.label, []).append(row)
    by_split["train"] = []
    for rows in by_class.values():
        rows.sort(key=lambda row: sample_id(config, row))
        held_out = min(math.ceil(len(rows) * config.validation_fraction), len(rows) - 1)
        by_split["validation"] += rows[:held_out]
        by_split["train"] += rows[held_out:]
    return by_split


def _shards_of(config: DatasetConfig, split: Split, rows: list[SourceRow]) -> list[ShardPlan]:
    keyed = sorted((sample_id(config, row), row) for row in rows) if rows else []
    order = generator("shard order", config.name, split).permutation(len(keyed))
    shuffled = [keyed[position] for position in order]
    size = config.clouds_per_shard
    num_shards = math.ceil(len(rows) / size)
    shards = []
    for number in range(num_shards):
        part = shuffled[number * size : (number + 1) * size]
        shards.append(
            ShardPlan(
                file=f"{split}-{number:05d}-of-{num_shards:05d}.parquet",
                split=split,
                rows=tuple(row for _, row in part),
                ids=tuple(identity for identity, _ in part),
            )
        )
    return shards


def write_shard(
    storage: Storage, dataset: str, config: DatasetConfig, index: SourceIndex, shard: ShardPlan
) -> ShardResult:
    """Make one shard and store it, verified, under the set's name; the set's manifest comes later."""
    content, kept, counts = make_shard(config, index, shard)
    entry = put(storage, f"datasets/{dataset}/{shard.file}", content)
    return ShardResult(shard.file, shard.split, entry, kept, dict(counts))


def make_shard(
    config: DatasetConfig, index: SourceIndex, shard: ShardPlan
) -> tuple[bytes, list[int], Counter[str]]:
    """Parquet content of one shard, the ids of the clouds in it, and counts of those dropped, by reason.

    Raises DataError for an unusable cloud, unless `bad_clouds` says to drop it.
    """
    clouds = config.source.read(config.root_path, shard.rows)
    dropped: Counter[str] = Counter()
    kept: list[tuple[int, str, Cloud]] = []
    for row, identity, cloud in zip(shard.rows, shard.ids, clouds, strict=True):
        problem = find_problem(cloud, len(index.class_names))
        if problem is None:
            kept.append((identity, hashlib.sha256(cloud.points.tobytes()).hexdigest()[:16], cloud))
        elif config.bad_clouds == "drop":
            dropped[problem] += 1
        else:
            raise DataError(
                f"Row {row.row} of {row.file} in {config.root or config.name} {problem}.",
                expected="finite points, at least one of them, and a label of the class list in every cloud",
                remedy="repair the file, or leave such clouds out with --set data.bad_clouds=drop",
            )
    sampled = resample([cloud for _, _, cloud in kept], config.num_points)
    prepared = [
        PreparedCloud(identity, digest, normalise(cloud) if config.normalise == "unit_sphere" else cloud)
        for (identity, digest, _), cloud in zip(kept, sampled, strict=True)
    ]
    is_fixed = (index.points_per_cloud or 0) >= config.num_points
    content = encode_shard(prepared, config.num_points if is_fixed else None)
    return content, [identity for identity, _, _ in kept], dropped


def finish(storage: Storage, config: DatasetConfig, plan: Plan, results: Sequence[ShardResult]) -> Manifest:
    """Make the set whole: its split lists and its manifest."""
    split_ids: dict[str, list[int]] = {}
    dropped: Counter[str] = Counter()
    for result in sorted(results, key=lambda result: result.file):
        split_ids.setdefault(result.split, []).extend(result.kept)
        dropped.update(result.dropped)
    lost = [split for split, ids in split_ids.items() if not ids]
    if lost:
        raise DataError(
            f"Every cloud of the {lost[0]} split of {config.name} was dropped: {dict(dropped)}.",
            remedy="look at the source files; bad_clouds=drop is for the odd one",
        )
    folder = f"datasets/{plan.name}"
    files = {result.file: result.entry for result in results}
    files["splits.json"] = put(storage, f"{folder}/splits.json", json.dumps(split_ids).encode())
    root = config.root_path
    details = DatasetManifest(
        name=config.name,
        recipe=config.recipe(),
        origin=plan.index.origin,
        licence=plan.index.licence,
        class_names=plan.index.class_names,
        part_names=plan.index.part_names,
        normalise=config.normalise,
        num_points=config.num_points,
        rows={split: len(ids) for split, ids in split_ids.items()},
        dropped=dict(dropped),
        source_files={name: file_sha256(root / name) for name in plan.index.files} if root else {},
    )
    return seal(storage, folder, "dataset", files, details.model_dump())


def find_problem(cloud: Cloud, num_classes: int) -> str | None:
    """Why `cloud` is unusable, or None: empty, not finite, or labelled outside the class list."""
    if len(cloud.points) == 0:
        return "is an empty cloud"
    bad = ~np.isfinite(cloud.points).all(1)
    if bad.any():
        return f"has {int(bad.sum())} points that are NaN or infinite"
    if cloud.label is not None and not 0 <= cloud.label < num_classes:
        return f"has label {cloud.label}, outside the {num_classes} classes"
    return None


def resample(clouds: list[Cloud], num_points: int) -> list[Cloud]:
    """Each cloud in farthest-point order, cut to `num_points`; smaller clouds keep all their points."""
    result: list[Cloud] = list(clouds)
    by_size: dict[int, list[int]] = {}
    for position, cloud in enumerate(clouds):
        by_size.setdefault(len(cloud.points), []).append(position)
    ordered = [position for size in sorted(by_size) for position in by_size[size]]
    for first in range(0, len(ordered), SAMPLING_BLOCK):
        block = ordered[first : first + SAMPLING_BLOCK]
        for position, rows in zip(
            block, _farthest_order([clouds[p] for p in block], num_points), strict=True
        ):
            result[position] = clouds[position].take(rows)
    return result


def _farthest_order(clouds: list[Cloud], num_points: int) -> list[np.ndarray]:
    """Rows of each cloud in farthest-point order; clouds that are too short take part padded."""
    sizes = [len(cloud.points) for cloud in clouds]
    if min(sizes) < min(num_points, max(sizes)):
        return [order for cloud in clouds for order in _farthest_order_equal([cloud], num_points)]
    return _farthest_order_equal(clouds, num_points)


def _farthest_order_equal(clouds: list[Cloud], num_points: int) -> list[np.ndarray]:
    sizes = torch.tensor([len(cloud.points) for cloud in clouds])
    dense = torch.zeros(len(clouds), int(sizes.max()), 3)
    for row, cloud in enumerate(clouds):
        dense[row, : len(cloud.points)] = torch.from_numpy(cloud.points)
    chosen = farthest_point_sample(dense, min(num_points, int(sizes.min())), sizes)
    return list(chosen.numpy())


def normalise(cloud: Cloud) -> Cloud:
    """The cloud centred on its mean and scaled so that its farthest point lies at radius 1."""
    centred = cloud.points - cloud.points.mean(0, dtype=np.float64).astype(np.float32)
    radius = float(np.sqrt((centred.astype(np.float64) ** 2).sum(1).max()))
    return replace(cloud, points=centred / np.float32(radius) if radius > 0 else centred)
