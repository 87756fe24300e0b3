"""Preparation: planned rows become shards, by plain functions that any worker can run in any order.

`make_shard` turns one entry of a plan into one file, and depends on nothing else: shards come out with the
same bytes whoever makes them. It reads a few clouds at a time, so that memory does not grow with a shard's
raw clouds. What became of a shard is noted beside it as soon as it is stored; a preparation that was killed
goes on from these notes. `finish` makes the set whole.
"""

import hashlib
import json
import logging
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from pydantic import BaseModel, ConfigDict, ValidationError

from pointlab.data.checks import (
    Examination,
    Finding,
    check_release,
    conclude,
    examine,
    require_no_warnings,
)
from pointlab.data.dataset import DatasetConfig, file_sha256
from pointlab.data.manifest import DatasetManifest, StoredCard
from pointlab.data.planning import Plan, ShardPlan
from pointlab.data.resampling import normalise, resample
from pointlab.data.sample import Cloud
from pointlab.data.shards import PreparedCloud, decode_shard, encode_shard
from pointlab.data.source import SourceIndex, SourceRow, Split
from pointlab.errors import DataError
from pointlab.storage import FileEntry, Manifest, Storage, seal
from pointlab.storage.artifact import put
from pointlab.storage.files import AbsentError, sha256

logger = logging.getLogger(__name__)
READ_TOGETHER = 64
"""Clouds read and sampled together: enough to amortise opening a file and the loop of the sampling."""
POINTS_AT_A_TIME = 1 << 20
"""Raw points held at a time, if a single cloud does not have more: 24 MB with normals."""
NOTES = "unfinished"
"""Folder of the notes, beside the shards; it goes when the set is whole."""


class ShardResult(BaseModel):
    """What became of a planned shard: its manifest entry, the ids kept, the rows dropped by reason.

    `examination` is what the checks at the door have learnt of its clouds, as they write it.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")
    file: str
    split: Split
    entry: FileEntry
    kept: list[int]
    dropped: dict[str, int]
    examination: dict[str, str]


@dataclass(frozen=True)
class MadeShard:
    """A shard's Parquet content, the ids of its clouds, and what is noted about it."""

    content: bytes
    kept: list[int]
    dropped: Counter[str]
    examination: Examination


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
    """Make one shard, store it, verified, under the set's name, and note what became of it."""
    made = make_shard(config, index, shard)
    result = ShardResult(
        file=shard.file,
        split=shard.split,
        entry=put(storage, f"datasets/{dataset}/{shard.file}", made.content),
        kept=made.kept,
        dropped=dict(made.dropped),
        examination=made.examination.to_json(),
    )
    storage.write(_note(dataset, shard.file), result.model_dump_json().encode())
    return result


def stored_shards(storage: Storage, plan: Plan) -> list[ShardResult]:
    """Results of the shards that an earlier attempt has stored, each read back and compared."""
    present = set(storage.files(f"datasets/{plan.name}/{NOTES}"))
    noted = [shard.file for shard in plan.shards if f"{shard.file}.json" in present]
    return [result for file in noted if (result := _read_note(storage, plan.name, file)) is not None]


def _note(dataset: str, file: str) -> str:
    return f"datasets/{dataset}/{NOTES}/{file}.json"


def _read_note(storage: Storage, dataset: str, file: str) -> ShardResult | None:
    """The note on a shard, or None where it or the shard is not as it was written."""
    try:
        result = ShardResult.model_validate_json(storage.read(_note(dataset, file)))
        content = storage.read(f"datasets/{dataset}/{file}")
    except (ValidationError, AbsentError):
        return None
    return result if sha256(content) == result.entry.sha256 else None


def make_shard(config: DatasetConfig, index: SourceIndex, shard: ShardPlan) -> MadeShard:
    """One shard, made from its entry alone.

    Raises DataError for an unusable cloud, unless `bad_clouds` says to drop it.
    """
    dropped: Counter[str] = Counter()
    prepared: list[PreparedCloud] = []
    examinations: list[Examination] = []
    for rows, ids, clouds in _read_in_parts(config, index, shard):
        usable: list[tuple[SourceRow, int, Cloud]] = []
        for row, identity, cloud in zip(rows, ids, clouds, strict=True):
            problem = find_problem(cloud, len(index.class_names))
            if problem is None:
                usable.append((row, identity, cloud))
            elif config.bad_clouds == "drop":
                dropped[problem.reason] += 1
            else:
                raise _unusable(config, row, problem)
        kept = [identity for _, identity, _ in usable]
        examinations.append(examine([cloud for _, _, cloud in usable], kept, shard.split))
        prepared += _prepare(config, usable)
    is_fixed = (index.points_per_cloud or 0) >= config.num_points and config.voxel_size is None
    content = encode_shard(prepared, config.num_points if is_fixed else None)
    examination = Examination(shard.split, np.concatenate([part.records for part in examinations]))
    return MadeShard(content, [cloud.sample_id for cloud in prepared], dropped, examination)


def _read_in_parts(
    config: DatasetConfig, index: SourceIndex, shard: ShardPlan
) -> Iterator[tuple[Sequence[SourceRow], Sequence[int], list[Cloud]]]:
    """Rows, ids and raw clouds of a shard, as many at a time as their size allows."""
    size = READ_TOGETHER if index.points_per_cloud else 1
    first = 0
    while first < len(shard.rows):
        rows = shard.rows[first : first + size]
        clouds = config.source.read(config.root_path, rows)
        yield rows, shard.ids[first : first + size], clouds
        first += len(rows)
        largest = max(1, *(len(cloud.points) for cloud in clouds))
        size = max(1, min(READ_TOGETHER, POINTS_AT_A_TIME // largest))


def _prepare(
    config: DatasetConfig, usable: Sequence[tuple[SourceRow, int, Cloud]]
) -> Iterator[PreparedCloud]:
    clouds = [cloud for _, _, cloud in usable]
    ids = [identity for _, identity, _ in usable]
    sampled = resample(clouds, ids, config.num_points, config.sampling, config.voxel_size)
    for (row, identity, raw), cloud in zip(usable, sampled, strict=True):
        digest = hashlib.sha256(raw.points.tobytes()).hexdigest()[:16]
        placed = normalise(cloud) if config.normalise == "unit_sphere" else cloud
        yield PreparedCloud(identity, digest, placed, row.group)


def _unusable(config: DatasetConfig, row: SourceRow, problem: Problem) -> DataError:
    return DataError(
        f"Row {row.row} of {row.file} in {config.root or config.name} {problem}.",
        expected="finite points, at least one of them, and a label of the class list in every cloud",
        remedy=f"repair the file, or leave such clouds out with bad_clouds=drop in the settings of"
        f" {config.name} (--set data.bad_clouds=drop, where it is the main set)",
    )


def finish(
    storage: Storage,
    config: DatasetConfig,
    plan: Plan,
    results: Sequence[ShardResult],
    *,
    strict: bool = False,
) -> Manifest:
    """Make the set whole: check what was learnt of all its clouds, then write split lists and manifest.

    Raises DataError where a split lost all its clouds, and for any warning of the checks if `strict`.
    """
    results = sorted(results, key=lambda result: result.file)
    split_ids: dict[str, list[int]] = {}
    dropped: Counter[str] = Counter()
    for result in results:
        split_ids.setdefault(result.split, []).extend(result.kept)
        dropped.update(result.dropped)
    _require_clouds(config, split_ids, dropped)
    logger.info("%s: checking all %d clouds together", plan.name, sum(map(len, split_ids.values())))
    findings = (*check_release(plan.index, config.root_path), *_findings(storage, plan, results, dropped))
    for finding in findings:
        logger.log(
            logging.WARNING if finding.severity == "warning" else logging.INFO, "%s: %s", plan.name, finding
        )
    if strict:
        require_no_warnings(findings, config.name)
    folder = f"datasets/{plan.name}"
    storage.sweep(folder)  # every shard is there: what is unfinished belongs to an attempt that was killed
    files = {result.file: result.entry for result in results}
    files["splits.json"] = put(storage, f"{folder}/splits.json", json.dumps(split_ids).encode())
    root = config.root_path
    details = DatasetManifest(
        name=config.name,
        recipe=config.recipe(),
        card=StoredCard.model_validate(plan.index.card),
        source=config.source.model_dump(mode="json"),
        defects=dict(plan.index.defects),
        class_names=plan.index.class_names,
        part_names=plan.index.part_names,
        normalise=config.normalise,
        num_points=config.num_points,
        sampling=config.sampling,
        rows={split: len(ids) for split, ids in split_ids.items()},
        dropped=dict(dropped),
        findings=findings,
        source_files={name: file_sha256(root / name) for name in plan.index.files} if root else {},
    )
    manifest = seal(storage, folder, "dataset", files, details.model_dump())
    storage.delete_folder(f"{folder}/{NOTES}")
    return manifest


def _require_clouds(config: DatasetConfig, split_ids: dict[str, list[int]], dropped: Counter[str]) -> None:
    lost = [split for split, ids in split_ids.items() if not ids]
    if lost:
        raise DataError(
            f"Every cloud of the {lost[0]} split of {config.name} was dropped: {dict(dropped)}.",
            remedy="look at the source files; bad_clouds=drop is for the odd one",
        )


def _findings(
    storage: Storage, plan: Plan, results: Sequence[ShardResult], dropped: Counter[str]
) -> tuple[Finding, ...]:
    def read_points(ids: Sequence[int]) -> dict[int, np.ndarray]:
        """Stored points of these clouds; one shard at a time is in memory."""
        wanted, points = set(ids), dict[int, np.ndarray]()
        for result in results:
            if wanted.isdisjoint(result.kept):
                continue
            columns = decode_shard(storage.read(f"datasets/{plan.name}/{result.file}"))
            for row, identity in enumerate(columns.ids.tolist()):
                if identity in wanted:
                    part = slice(columns.offsets[row], columns.offsets[row + 1])
                    points[identity] = columns.per_point["points"][part].copy()
        return points

    examinations = [Examination.from_json(result.examination) for result in results]
    return conclude(examinations, plan.index, read_points, dropped)


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
