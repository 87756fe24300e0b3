"""What a page on a prepared set is made from: counts of every split, and random clouds of one of them.

Shards hold rows in a global shuffle, so the first ones are a random sample of a large set. Which clouds are
drawn is decided by a key of their ids, in one pass and whatever the shards are.
"""

from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Float32, Int64

from pointlab.data.manifest import DatasetManifest, read_dataset
from pointlab.data.sample import View
from pointlab.data.shards import Columns, PreparedCloud, decode_clouds, decode_shard
from pointlab.data.source import SPLITS
from pointlab.errors import DataError
from pointlab.report.views import LabelledCloud, part_name
from pointlab.seeding import stable_integer
from pointlab.storage import Manifest, Storage, read_manifest
from pointlab.storage.artifact import read_verified

MAX_SHARDS = 64
"""Shards read of each split: at 256 clouds each, some 16 000 clouds, which take seconds."""
NUM_DRAWS = 3
"""Clouds drawn of each class; each draw has a WebGL context, of which browsers keep 8 to 16 alive."""
MAX_DRAWN_POINTS = 2048
NUM_FRAMES = 8
NO_LABEL = -1


@dataclass(frozen=True)
class Drawn:
    """A cloud that was drawn; the lowest `key` of a class is drawn first."""

    key: int
    sample_id: int
    cloud: LabelledCloud


@dataclass
class SplitSample:
    """What was read of a split: labels and lengths of its clouds, and the sides of their boxes."""

    labels: list[Int64[np.ndarray, " clouds"]] = field(default_factory=list)
    lengths: list[Int64[np.ndarray, " clouds"]] = field(default_factory=list)
    sides: list[Float32[np.ndarray, "clouds 3"]] = field(default_factory=list)


@dataclass(frozen=True)
class DatasetSample:
    """Manifest of a set, what was read of each split, and of the one that is shown: clouds and views."""

    name: str
    manifest: DatasetManifest
    num_bytes: int
    shown: str
    splits: dict[str, SplitSample]
    drawn: dict[int, list[Drawn]]
    """By label, in order of the classes."""
    frames: list[tuple[PreparedCloud, View]]
    is_partial: bool
    """Whether some shards were not read."""


def sample_dataset(storage: Storage, name: str, shown: str) -> DatasetSample:
    """Read a prepared set for a page that shows clouds of the split `shown`.

    Raises DataError where there is no such set or split, DamagedError where a shard is not what it was.
    """
    details = read_dataset(storage, name)
    manifest = read_manifest(storage, f"datasets/{name}")
    assert manifest is not None, "its details were just read"
    shards: dict[str, list[str]] = {split: _shards_of(manifest, split) for split in SPLITS}
    if not shards.get(shown):
        there = ", ".join(split for split, files in shards.items() if files)
        raise DataError(f"The set {name} has no {shown!r} split.", f"one of: {there}")
    splits: dict[str, SplitSample] = {}
    drawn: dict[int, list[Drawn]] = {}
    for split, files in shards.items():
        for file in files[:MAX_SHARDS]:
            columns = decode_shard(read_verified(storage, f"datasets/{name}", file, manifest))
            _note(splits.setdefault(split, SplitSample()), columns)
            if split == shown:
                _draw(drawn, columns, details)
    first = read_verified(storage, f"datasets/{name}", shards[shown][0], manifest)
    return DatasetSample(
        name=name,
        manifest=details,
        num_bytes=sum(entry.size for entry in manifest.files.values()),
        shown=shown,
        splits=splits,
        drawn=dict(sorted(drawn.items())),
        frames=_frames(decode_clouds(first)),
        is_partial=any(len(files) > MAX_SHARDS for files in shards.values()),
    )


def _shards_of(manifest: Manifest, split: str) -> list[str]:
    return [name for name in sorted(manifest.files) if name.startswith(f"{split}-")]


def _note(sample: SplitSample, columns: Columns) -> None:
    """Add the rows of a shard to what is known of its split."""
    if len(columns.ids) == 0:
        return
    points, starts = columns.per_point["points"], columns.offsets[:-1]
    sample.labels.append(columns.labels)
    sample.lengths.append(np.diff(columns.offsets))
    sample.sides.append(np.maximum.reduceat(points, starts) - np.minimum.reduceat(points, starts))


def _draw(drawn: dict[int, list[Drawn]], columns: Columns, details: DatasetManifest) -> None:
    """Keep those rows of a shard that are among the first drawn of their class."""
    for row, (identity, label) in enumerate(zip(columns.ids.tolist(), columns.labels.tolist(), strict=True)):
        key = _key(identity)
        kept = drawn.setdefault(label, [])
        if len(kept) < NUM_DRAWS or key < kept[-1].key:
            kept.append(Drawn(key, identity, _cloud_at(columns, row, details.part_names)))
            kept.sort(key=lambda each: each.key)
            del kept[NUM_DRAWS:]


def _cloud_at(columns: Columns, row: int, part_names: tuple[str, ...]) -> LabelledCloud:
    first = int(columns.offsets[row])
    part = slice(first, min(int(columns.offsets[row + 1]), first + MAX_DRAWN_POINTS))
    arrays = {name: values[part].copy() for name, values in columns.per_point.items()}
    labels, parts = arrays.get("point_labels"), None
    if labels is not None and part_names:
        parts = tuple(part_name(label, part_names) for label in labels.tolist())
    return LabelledCloud(arrays["points"], parts, arrays.get("colours"))


def _frames(clouds: list[PreparedCloud]) -> list[tuple[PreparedCloud, View]]:
    """Clouds with a view each, at first of as many clouds as there are, then further views of them."""
    ordered = sorted(clouds, key=lambda prepared: _key(prepared.sample_id))
    seen = [
        (number, prepared, view) for prepared in ordered for number, view in enumerate(prepared.cloud.views)
    ]
    seen.sort(key=lambda entry: entry[0])
    return [(prepared, view) for _, prepared, view in seen[:NUM_FRAMES]]


def _key(identity: int) -> int:
    return stable_integer("shown cloud", identity)
