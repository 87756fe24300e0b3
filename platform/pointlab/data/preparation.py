"""Preparation: planned rows become shards, by plain functions that any worker can run in any order.

`make_shard` turns one entry of a plan into one file, and depends on nothing else: shards come out with the
same bytes whoever makes them. It reads a few clouds at a time, so that memory does not grow with a shard's
raw clouds. What became of a shard is noted beside it as soon as it is stored; a preparation that was killed
goes on from these notes. `completion` makes the set whole.
"""

import hashlib
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from pydantic import BaseModel, ConfigDict

from pointlab.data.checks import Examination, examine
from pointlab.data.dataset import DatasetConfig
from pointlab.data.normals import SPAN_A_PLANE, with_normals
from pointlab.data.planning import Plan, ShardPlan
from pointlab.data.resampling import normalise, resample, with_unit_normals
from pointlab.data.sample import Cloud
from pointlab.data.shards import PER_POINT, PreparedCloud, encode_shard
from pointlab.data.source import SourceIndex, SourceRow, Split
from pointlab.errors import DataError
from pointlab.provenance import code_version
from pointlab.storage import FileEntry, Storage
from pointlab.storage.artifact import put
from pointlab.storage.files import AbsentError, sha256

READ_TOGETHER = 64
"""Clouds read and sampled together: enough to amortise opening a file and the loop of the sampling."""
POINTS_AT_A_TIME = 1 << 20
"""Raw points held at a time, if a single cloud does not have more: 24 MB with normals."""
UNEVEN_NORMALS = "normals of other lengths"
"""What is wrong with some points of ModelNet's text files, and of many a mesh; made right and counted."""
NOTES = "unfinished"
"""Folder of the notes, beside the shards; it goes when the set is whole."""


class ShardResult(BaseModel):
    """What became of a planned shard: its manifest entry, the ids kept, the rows dropped by reason.

    `arrays` are the per-point arrays of its clouds, none where it has no clouds; `num_estimated` of them have
    estimated normals; `mended` counts what was made right, by name; `examination` is what the checks at the
    door have learnt of the clouds, as they write it; `code` is the version that made it.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")
    file: str
    split: Split
    entry: FileEntry
    kept: list[int]
    dropped: dict[str, int]
    arrays: tuple[str, ...]
    num_estimated: int
    mended: dict[str, int]
    examination: dict[str, str]
    code: str


@dataclass(frozen=True)
class MadeShard:
    """A shard's Parquet content, the ids of its clouds, and what is noted about it."""

    content: bytes
    kept: list[int]
    dropped: Counter[str]
    arrays: tuple[str, ...]
    num_estimated: int
    mended: dict[str, int]
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
        arrays=made.arrays,
        num_estimated=made.num_estimated,
        mended=made.mended,
        examination=made.examination.to_json(),
        code=code_version(),
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
    """The note on a shard; None where it or the shard is not as it was written, or by other code."""
    try:
        result = ShardResult.model_validate_json(storage.read(_note(dataset, file)))
        Examination.from_json(result.examination)
        content = storage.read(f"datasets/{dataset}/{file}")
    except (ValueError, KeyError, DataError, AbsentError):  # pydantic's error is a ValueError
        return None
    is_as_written = sha256(content) == result.entry.sha256
    return result if is_as_written and result.code == code_version() else None


def make_shard(config: DatasetConfig, index: SourceIndex, shard: ShardPlan) -> MadeShard:
    """One shard, made from its entry alone.

    Raises DataError for an unusable cloud, unless `bad_clouds` says to drop it.
    """
    dropped: Counter[str] = Counter()
    prepared: list[PreparedCloud] = []
    examinations: list[Examination] = []
    mended: Counter[str] = Counter()
    num_estimated = 0
    for rows, ids, clouds in _read_in_parts(config, index, shard):
        usable: list[tuple[SourceRow, int, Cloud]] = []
        for row, identity, cloud in zip(rows, ids, clouds, strict=True):
            problem = find_problem(cloud, len(index.class_names), len(index.part_names))
            problem = problem or _lack_of_points(config, cloud)
            if problem is None:
                right, num_uneven = with_unit_normals(cloud)
                mended[UNEVEN_NORMALS] += num_uneven
                complete = with_normals(right, config.estimate_normals)
                num_estimated += complete is not right
                usable.append((row, identity, complete))
            elif config.bad_clouds == "drop":
                dropped[problem.reason] += 1
            else:
                raise _unusable(config, row, problem)
        examined = examine([cloud for _, _, cloud in usable], [i for _, i, _ in usable], shard.split)
        examinations.append(examined)
        prepared += _prepare(config, usable)
    is_fixed = (index.points_per_cloud or 0) >= config.num_points and config.voxel_size is None
    content = encode_shard(prepared, config.num_points if is_fixed else None)
    examination = Examination(shard.split, np.concatenate([part.records for part in examinations]))
    arrays = tuple(name for name in PER_POINT if prepared and getattr(prepared[0].cloud, name) is not None)
    kept = [cloud.sample_id for cloud in prepared]
    return MadeShard(content, kept, dropped, arrays, num_estimated, dict(+mended), examination)


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
        expected="finite numbers, at least one point (three where normals are estimated), and labels of the"
        " lists in every cloud",
        remedy=f"repair the file, or leave such clouds out with bad_clouds=drop in the settings of"
        f" {config.name} (--set data.bad_clouds=drop, where it is the main set)",
    )


def _lack_of_points(config: DatasetConfig, cloud: Cloud) -> Problem | None:
    """What keeps normals from being estimated, where they are to be."""
    has_normals = config.estimate_normals is None or cloud.normals is not None
    if has_normals or len(cloud.points) >= SPAN_A_PLANE:
        return None
    return Problem("has too few points to estimate normals from", f" ({len(cloud.points)})")


def find_problem(cloud: Cloud, num_classes: int, num_parts: int = 0) -> Problem | None:
    """What makes `cloud` unusable, if anything: no points, numbers that are not finite, labels out of range.

    Point labels are bounded where the parts have names; -1 is a point without a label.
    """
    if len(cloud.points) == 0:
        return Problem("is an empty cloud")
    for name in ("points", "normals", "colours"):
        values = getattr(cloud, name)
        num_bad = 0 if values is None else int((~np.isfinite(values).all(1)).sum())
        if num_bad:
            return Problem(f"has {name} that are NaN or infinite", f" ({num_bad} of {len(values)})")
    if cloud.label is not None and not 0 <= cloud.label < num_classes:
        return Problem("has a label outside the classes", f" ({cloud.label}, of {num_classes} classes)")
    if cloud.point_labels is not None and num_parts:
        least, most = int(cloud.point_labels.min()), int(cloud.point_labels.max())
        if least < -1 or most >= num_parts:
            extent = f" ({least} to {most}, of {num_parts} parts)"
            return Problem("has point labels outside the parts", extent)
    return None
