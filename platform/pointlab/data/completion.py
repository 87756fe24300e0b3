"""Completion: stored shards become a whole set, once all that was learnt of them is put together.

The checks at the door draw their conclusions here, source files are compared with what they were when the
set was planned, and the manifest comes last.
"""

import csv
import io
import json
import logging
from collections import Counter
from collections.abc import Sequence
from itertools import zip_longest

import numpy as np

from pointlab.data.checks import POINTS_COMPARED, Examination, Finding, check_release, conclude, tell_findings
from pointlab.data.dataset import DatasetConfig, source_digests
from pointlab.data.manifest import DatasetManifest, EstimatedNormals, StoredCard
from pointlab.data.planning import Plan
from pointlab.data.preparation import NOTES, ShardResult
from pointlab.data.shards import decode_shard
from pointlab.errors import DataError
from pointlab.provenance import code_version
from pointlab.storage import Manifest, Storage, seal
from pointlab.storage.artifact import put

logger = logging.getLogger(__name__)


def finish(storage: Storage, config: DatasetConfig, plan: Plan, results: Sequence[ShardResult]) -> Manifest:
    """Make the set whole: check what was learnt of all its clouds, then write split lists and manifest.

    Raises DataError where a split lost all its clouds, where clouds of different shards have different
    arrays, and where a source file is not what it was when the set was planned.
    """
    results = sorted(results, key=lambda result: result.file)
    split_ids: dict[str, list[int]] = {}
    dropped, mended = Counter[str](), Counter(dict(plan.index.defects))
    for result in results:
        split_ids.setdefault(result.split, []).extend(result.kept)
        dropped.update(result.dropped)
        mended.update(result.mended)
    _require_clouds(config, split_ids, dropped)
    _require_equal_arrays(config, results)
    _require_unchanged(config, plan)
    logger.info("%s: checking all %d clouds together", plan.name, sum(map(len, split_ids.values())))
    findings = (*check_release(plan.index, config.root_path), *_findings(storage, plan, results, dropped))
    tell_findings(plan.name, findings)
    folder = f"datasets/{plan.name}"
    storage.sweep(folder)  # every shard is there: what is unfinished belongs to an attempt that was killed
    files = {result.file: result.entry for result in results}
    files["splits.json"] = put(storage, f"{folder}/splits.json", json.dumps(split_ids).encode())
    files["findings.csv"] = put(storage, f"{folder}/findings.csv", _listed(plan, findings))
    for name, count in sorted(mended.items()):
        logger.info("%s: %s: %d, dealt with", plan.name, name, count)
    details = _details(config, plan, results, findings, split_ids=split_ids, dropped=dropped, mended=mended)
    manifest = seal(storage, folder, "dataset", files, details.model_dump())
    storage.delete_folder(f"{folder}/{NOTES}")
    return manifest


def _listed(plan: Plan, findings: Sequence[Finding]) -> bytes:
    """The clouds that findings name, and their twins, with where they come from, as CSV."""
    wanted = {identity for finding in findings for identity in (*finding.sample_ids, *finding.twins)}
    rows = {
        identity: row
        for shard in plan.shards
        for identity, row in zip(shard.ids, shard.rows, strict=True)
        if identity in wanted
    }
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(
        ["check", "severity", *(f"{who}{what}" for who in ("", "twin_") for what in ("id", "file", "row"))]
    )
    for finding in findings:
        for identity, twin in zip_longest(finding.sample_ids, finding.twins):
            where = [(i, rows[i].file, rows[i].row) if i is not None else ("",) * 3 for i in (identity, twin)]
            table.writerow([finding.check, finding.severity, *where[0], *where[1]])
    return text.getvalue().encode()


def _details(
    config: DatasetConfig,
    plan: Plan,
    results: Sequence[ShardResult],
    findings: tuple[Finding, ...],
    *,
    split_ids: dict[str, list[int]],
    dropped: Counter[str],
    mended: Counter[str],
) -> DatasetManifest:
    return DatasetManifest(
        name=config.name,
        recipe=config.recipe(),
        card=StoredCard.model_validate(plan.index.card),
        source=config.source.model_dump(mode="json"),
        defects=dict(sorted(mended.items())),
        code_version=code_version(),
        class_names=plan.index.class_names,
        part_names=plan.index.part_names,
        normalise=config.normalise,
        estimated_normals=_estimated_normals(config, results),
        num_points=config.num_points,
        sampling=config.sampling,
        rows={split: len(ids) for split, ids in split_ids.items()},
        dropped=dict(dropped),
        findings=findings,
        source_files=dict(plan.source_files),
    )


def _estimated_normals(config: DatasetConfig, results: Sequence[ShardResult]) -> EstimatedNormals | None:
    num_clouds = sum(result.num_estimated for result in results)
    if config.estimate_normals is None or num_clouds == 0:
        return None
    return EstimatedNormals(num_clouds=num_clouds, num_neighbours=config.estimate_normals)


def _require_clouds(config: DatasetConfig, split_ids: dict[str, list[int]], dropped: Counter[str]) -> None:
    lost = [split for split, ids in split_ids.items() if not ids]
    if lost:
        raise DataError(
            f"Every cloud of the {lost[0]} split of {config.name} was dropped: {dict(dropped)}.",
            remedy="look at the source files; bad_clouds=drop is for the odd one",
        )


def _require_equal_arrays(config: DatasetConfig, results: Sequence[ShardResult]) -> None:
    """Clouds with and without an array cannot lie in one file: the arrays of all would be shifted."""
    by_arrays = {result.arrays: result.file for result in results if result.kept}
    if len(by_arrays) > 1:
        found = "; ".join(f"{', '.join(arrays)} in {file}" for arrays, file in sorted(by_arrays.items()))
        raise DataError(
            f"The clouds of {config.name} do not all have the same arrays: {found}.",
            expected="all clouds of a set to carry the same arrays",
            remedy="add what is missing to the files that lack it, or have the source leave it out of all",
        )


def _require_unchanged(config: DatasetConfig, plan: Plan) -> None:
    """What was read is what the set is named after; a file is hashed again if its time or size is another."""
    changed = [
        name
        for name, digest in source_digests(config, plan.index).items()
        if digest != plan.source_files[name]
    ]
    if changed:
        raise DataError(
            f"{len(changed)} source files of {config.name} changed meanwhile, such as {changed[0]}.",
            expected="files that nobody writes to",
            remedy="run it again when they are complete",
        )


def _findings(
    storage: Storage, plan: Plan, results: Sequence[ShardResult], dropped: Counter[str]
) -> tuple[Finding, ...]:
    def read_points(ids: Sequence[int]) -> dict[int, np.ndarray]:
        """The first stored points of these clouds; one shard at a time is in memory."""
        wanted, points = set(ids), dict[int, np.ndarray]()
        for result in results:
            if wanted.isdisjoint(result.kept):
                continue
            columns = decode_shard(storage.read(f"datasets/{plan.name}/{result.file}"))
            for row, identity in enumerate(columns.ids.tolist()):
                if identity in wanted:
                    first, last = columns.offsets[row], columns.offsets[row + 1]
                    kept = min(last, first + POINTS_COMPARED)
                    points[identity] = columns.per_point["points"][first:kept].copy()
        return points

    examinations = [Examination.from_json(result.examination) for result in results]
    return conclude(examinations, plan.index, read_points, dropped)
