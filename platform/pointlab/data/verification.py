"""Whether a prepared set still is what its manifest promises: every byte, row, id and source file.

Hashes say that a file is the one that was written; rows and ids say that what was written is the set. All
damages are gathered, so that one run names them all.
"""

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from pointlab.data.dataset import file_sha256
from pointlab.data.manifest import DatasetManifest, read_dataset
from pointlab.data.progress import Progress, unwatched
from pointlab.data.shards import PER_POINT, Columns, decode_shard
from pointlab.errors import DataError
from pointlab.storage import AbsentError, FileEntry, Manifest, Storage, read_manifest
from pointlab.storage.artifact import MANIFEST
from pointlab.storage.files import sha256

SPLIT_LISTS = "splits.json"


@dataclass(frozen=True)
class Damage:
    """A file of the set or of its source, and what is wrong with it."""

    file: str
    problem: str

    def __str__(self) -> str:
        return f"{self.file} {self.problem}"


@dataclass
class Verdict:
    """What a verification has found so far: `rows` by split, `leftovers` that no manifest lists."""

    num_files: int = 0
    num_bytes: int = 0
    num_source_files: int = 0
    rows: Counter[str] = field(default_factory=Counter)
    ids: dict[str, list[int]] = field(default_factory=dict)
    damages: list[Damage] = field(default_factory=list)
    leftovers: list[str] = field(default_factory=list)
    arrays: tuple[str, ...] = ()
    """Per-point arrays of the first shard that has clouds: all others have the same."""


def verify(
    storage: Storage,
    dataset: str,
    source: Path | None = None,
    progress: Progress = unwatched,
) -> Verdict:
    """Everything found wrong with a prepared set, and with the source files in the folder `source`.

    Raises DataError where there is no whole set of this name, DamagedError where its manifest is not legible.
    """
    path = f"datasets/{dataset}"
    manifest = read_manifest(storage, path)
    if manifest is None:
        raise _unfinished(storage, dataset)
    details = read_dataset(storage, dataset)
    sources = details.source_files if source is not None else {}
    total = len(manifest.files) + len(sources)
    verdict = Verdict(leftovers=_leftovers(storage, path, manifest))
    lists: dict[str, list[int]] = {}
    for name, entry in manifest.files.items():
        content = _intact(storage, f"{path}/{name}", name, entry, verdict)
        if content is not None and name == SPLIT_LISTS:
            lists = json.loads(content)
        elif content is not None and name.endswith(".parquet"):
            _check_shard(name, content, details, verdict)
        progress(verdict.num_files, total)
    if not verdict.damages:  # else what is missing has a cause that is named already
        verdict.damages += _wrong_counts(details, lists, verdict)
    for name, digest in sources.items():
        assert source is not None
        verdict.damages += _wrong_source(source, name, digest)
        verdict.num_source_files += 1
        progress(verdict.num_files + verdict.num_source_files, total)
    return verdict


def _intact(storage: Storage, path: str, name: str, entry: FileEntry, verdict: Verdict) -> bytes | None:
    """Content of the file if it is what the manifest promises."""
    verdict.num_files += 1
    try:
        content = storage.read(path)
    except AbsentError:
        verdict.damages.append(Damage(name, "is missing"))
        return None
    verdict.num_bytes += len(content)
    if len(content) != entry.size:
        verdict.damages.append(Damage(name, f"has {len(content):,} bytes, not {entry.size:,}"))
        return None
    if sha256(content) != entry.sha256:
        verdict.damages.append(Damage(name, "has another sha256 than its manifest"))
        return None
    return content


def _check_shard(name: str, content: bytes, details: DatasetManifest, verdict: Verdict) -> None:
    """Note the rows of a shard, and what is wrong with its arrays."""
    try:
        columns = decode_shard(content)
    except DataError as error:
        verdict.damages.append(Damage(name, f"is no shard: {error.found}"))
        return
    split = name.partition("-")[0]
    verdict.rows[split] += len(columns.ids)
    verdict.ids.setdefault(split, []).extend(columns.ids.tolist())
    verdict.damages += [Damage(name, problem) for problem in _wrong_arrays(columns, details)]
    if len(columns.ids):
        arrays = tuple(columns.per_point)
        verdict.arrays = verdict.arrays or arrays
        if arrays != verdict.arrays:
            problem = f"holds {', '.join(arrays)}, other shards {', '.join(verdict.arrays)}"
            verdict.damages.append(Damage(name, problem))


def _wrong_arrays(columns: Columns, details: DatasetManifest) -> Iterator[str]:
    """What is wrong with the arrays of a shard: their shapes and types, values, labels, lengths."""
    num_points = int(columns.offsets[-1])
    for name, array in columns.per_point.items():
        shape = (num_points, 3) if PER_POINT[name] == 3 else (num_points,)
        expected = "int64" if name == "point_labels" else "float32"
        if array.shape != shape or array.dtype != expected:
            yield f"holds {name} of shape {array.shape} and type {array.dtype}, not {shape} and {expected}"
        elif not np.isfinite(array).all():
            yield f"holds {name} that are not finite"
    lengths = np.diff(columns.offsets)
    if len(lengths) and (lengths.min() < 1 or lengths.max() > details.num_points):
        yield f"holds clouds of {lengths.min()} to {lengths.max()} points, not 1 to {details.num_points}"
    parts = columns.per_point.get("point_labels")
    num_parts = len(details.part_names)
    if parts is not None and len(parts) and num_parts and not -1 <= parts.min() <= parts.max() < num_parts:
        yield f"holds point labels {parts.min()} to {parts.max()}, of {num_parts} parts"
    if len(columns.labels) and columns.labels.max() >= len(details.class_names):
        yield f"holds label {columns.labels.max()}, of {len(details.class_names)} classes"


def _wrong_counts(
    details: DatasetManifest, lists: dict[str, list[int]], verdict: Verdict
) -> Iterator[Damage]:
    """Where the rows of intact shards are not those that manifest and split lists count."""
    for split in sorted({*details.rows, *verdict.rows}):
        promised, found = details.rows.get(split, 0), verdict.rows[split]
        if promised != found:
            yield Damage(MANIFEST, f"counts {promised} rows of {split}, the shards hold {found}")
        if sorted(lists.get(split, [])) != sorted(verdict.ids.get(split, [])):
            yield Damage(SPLIT_LISTS, f"lists other ids of {split} than the shards hold")
    times = Counter(identity for ids in verdict.ids.values() for identity in ids)
    repeated = [identity for identity, count in times.items() if count > 1]
    if repeated:
        yield Damage("the shards", f"hold {len(repeated)} ids more than once, such as {repeated[0]}")


def _wrong_source(folder: Path, name: str, digest: str) -> list[Damage]:
    """The damage of one source file, if any."""
    if not (folder / name).is_file():
        return [Damage(str(folder / name), "is missing")]
    if file_sha256(folder / name) != digest:
        return [Damage(str(folder / name), "is not the file that the set was made from: its sha256 differs")]
    return []


def _leftovers(storage: Storage, path: str, manifest: Manifest) -> list[str]:
    """Files beside the set's own: of a write that was killed, or put there by somebody."""
    if storage.is_local:
        names = sorted(entry.name for entry in Path(storage.locate(path)).iterdir())
    else:
        names = storage.files(path)
    return [name for name in names if name not in {MANIFEST, *manifest.files}]


def _unfinished(storage: Storage, dataset: str) -> DataError:
    shards = storage.files(f"datasets/{dataset}")
    if not shards:
        return DataError(
            f"There is no prepared set {dataset} in {storage.address}.",
            remedy="list those that are there with `pointlab data list`",
        )
    return DataError(
        f"The set {dataset} in {storage.address} is unfinished: {len(shards)} files, and no manifest.",
        remedy="run its prepare config again, which goes on from there; or delete the folder",
    )
