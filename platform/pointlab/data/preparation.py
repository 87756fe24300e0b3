"""Preparation: planned rows become shards, by plain functions that any worker can run in any order.

`make_shard` turns one entry of a plan into one file, and depends on nothing else: shards come out with the
same bytes whoever makes them. `finish` makes the set whole.
"""

import hashlib
import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch

from pointlab.data.dataset import DatasetConfig, file_sha256
from pointlab.data.manifest import DatasetManifest
from pointlab.data.planning import Plan, ShardPlan
from pointlab.data.sample import Cloud
from pointlab.data.shards import PreparedCloud, encode_shard
from pointlab.data.source import SourceIndex, SourceRow, Split
from pointlab.errors import DataError
from pointlab.geometry import farthest_point_sample
from pointlab.storage import FileEntry, Manifest, Storage, seal
from pointlab.storage.artifact import put

SAMPLING_BLOCK = 64
"""Clouds sampled together: enough to amortise the loop, small enough for the processor's cache."""


@dataclass(frozen=True)
class ShardResult:
    """What became of a planned shard: its manifest entry, the ids kept, the rows dropped by reason."""

    file: str
    split: Split
    entry: FileEntry
    kept: list[int]
    dropped: dict[str, int]


@dataclass(frozen=True)
class Problem:
    """Why a cloud is unusable, in words that are the same for all such clouds, and how much of it is."""

    reason: str
    extent: str = ""

    def __str__(self) -> str:
        return self.reason + self.extent


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
            dropped[problem.reason] += 1
        else:
            raise _unusable(config, row, problem)
    sampled = resample([cloud for _, _, cloud in kept], config.num_points)
    prepared = [
        PreparedCloud(identity, digest, normalise(cloud) if config.normalise == "unit_sphere" else cloud)
        for (identity, digest, _), cloud in zip(kept, sampled, strict=True)
    ]
    is_fixed = (index.points_per_cloud or 0) >= config.num_points
    content = encode_shard(prepared, config.num_points if is_fixed else None)
    return content, [identity for identity, _, _ in kept], dropped


def _unusable(config: DatasetConfig, row: SourceRow, problem: Problem) -> DataError:
    return DataError(
        f"Row {row.row} of {row.file} in {config.root or config.name} {problem}.",
        expected="finite points, at least one of them, and a label of the class list in every cloud",
        remedy=f"repair the file, or leave such clouds out with bad_clouds=drop in the settings of"
        f" {config.name} (--set data.bad_clouds=drop, where it is the main set)",
    )


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
    storage.sweep(folder)  # every shard is there: what is unfinished belongs to an attempt that was killed
    files = {result.file: result.entry for result in results}
    files["splits.json"] = put(storage, f"{folder}/splits.json", json.dumps(split_ids).encode())
    root = config.root_path
    details = DatasetManifest(
        name=config.name,
        recipe=config.recipe(),
        origin=plan.index.card.title,
        licence=plan.index.card.licence,
        class_names=plan.index.class_names,
        part_names=plan.index.part_names,
        normalise=config.normalise,
        num_points=config.num_points,
        rows={split: len(ids) for split, ids in split_ids.items()},
        dropped=dict(dropped),
        source_files={name: file_sha256(root / name) for name in plan.index.files} if root else {},
    )
    return seal(storage, folder, "dataset", files, details.model_dump())


def find_problem(cloud: Cloud, num_classes: int) -> Problem | None:
    """What makes `cloud` unusable, if anything: no points, points not finite, a label outside the classes."""
    if len(cloud.points) == 0:
        return Problem("is an empty cloud")
    num_bad = int((~np.isfinite(cloud.points).all(1)).sum())
    if num_bad:
        return Problem("has points that are NaN or infinite", f" ({num_bad} of {len(cloud.points)})")
    if cloud.label is not None and not 0 <= cloud.label < num_classes:
        return Problem("has a label outside the classes", f" ({cloud.label}, of {num_classes} classes)")
    return None


def resample(clouds: list[Cloud], num_points: int) -> list[Cloud]:
    """Each cloud in farthest-point order, cut to `num_points`; smaller clouds keep all their points."""
    sizes = [len(cloud.points) for cloud in clouds]
    by_size = sorted(range(len(clouds)), key=lambda position: sizes[position])
    large = [position for position in by_size if sizes[position] >= num_points]
    blocks = [large[first : first + SAMPLING_BLOCK] for first in range(0, len(large), SAMPLING_BLOCK)]
    blocks += [[position] for position in by_size if sizes[position] < num_points]
    result = list(clouds)
    for block in blocks:
        rows = _farthest_order([clouds[position] for position in block], num_points)
        for position, taken in zip(block, rows, strict=True):
            result[position] = clouds[position].take(taken)
    return result


def _farthest_order(clouds: list[Cloud], num_points: int) -> np.ndarray:
    """Rows of every cloud in farthest-point order, as many as the smallest of them has, or `num_points`."""
    sizes = torch.tensor([len(cloud.points) for cloud in clouds])
    dense = torch.zeros(len(clouds), int(sizes.max()), 3)
    for row, cloud in enumerate(clouds):
        dense[row, : len(cloud.points)] = torch.from_numpy(cloud.points)
    return farthest_point_sample(dense, min(num_points, int(sizes.min())), sizes).numpy()


def normalise(cloud: Cloud) -> Cloud:
    """The cloud centred on its mean and scaled so that its farthest point lies at radius 1."""
    centred = cloud.points - cloud.points.mean(0, dtype=np.float64).astype(np.float32)
    radius = float(np.sqrt((centred.astype(np.float64) ** 2).sum(1).max()))
    return replace(cloud, points=centred / np.float32(radius) if radius > 0 else centred)
