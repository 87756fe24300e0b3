"""Examination: what the checks need to know of every cloud, learnt while its shard is made.

`examine` looks at clouds as the source read them, in any worker and any order. What it keeps is small
(`RECORD`, some 200 bytes a cloud) and stored with the shard's result, so that a preparation that was killed
goes on. The rows of a set's examinations together, sorted by sample id, do not depend on how it was sharded.
"""

import base64
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby

import numpy as np
from jaxtyping import Float32

from pointlab.data.checks.contents import content_of
from pointlab.data.checks.directions import NUM_FIGURES, along_axes
from pointlab.data.checks.fingerprints import NUM_FEATURES, fingerprints
from pointlab.data.sample import Cloud
from pointlab.data.source import Split
from pointlab.errors import DataError
from pointlab.seeding import stable_hash

NO_LABEL = -1
BLOCK = 16
"""Clouds of equal length that are examined together: saves calls, and fits the processor's cache."""
MAX_POINTS = 2048
"""Points of a cloud that its shape is learnt from, evenly spread over its rows: bounds the cost of rooms."""
NOISE_EVERY = 8
"""One cloud in so many, by id, is halved to learn how far a fingerprint depends on the sampling."""
NO_NOISE = np.nan

RECORD = np.dtype(
    [
        ("id", "<i8"),
        ("digest", "<u8"),  # of the points, in any order
        ("label", "<i4"),
        ("num_points", "<i4"),
        ("repeated", "<f4"),  # share of points that repeat another one
        ("radius", "<f4"),  # of the farthest point, about the mean
        ("extent", "<f4"),  # longest side of the bounding box
        ("spreads", "<f4", (3,)),  # along the principal axes, smallest first
        ("fingerprint", "<f2", (NUM_FEATURES,)),
        ("noise", "<f2", (NUM_FEATURES,)),  # difference of the fingerprints of two halves, or NaN
        ("axes", "<f2", (3, NUM_FIGURES)),
    ]
)
LAYOUT = stable_hash(str(RECORD.descr))


@dataclass(frozen=True)
class Examination:
    """What was learnt of the clouds of one shard: an array of `RECORD`, in the order of the shard."""

    split: Split
    records: np.ndarray

    def to_json(self) -> dict[str, str]:
        """Everything, as text that `from_json` reads back: about 260 bytes a cloud."""
        content = base64.b85encode(self.records.tobytes()).decode()
        return {"layout": LAYOUT, "split": self.split, "records": content}

    @classmethod
    def from_json(cls, stored: Mapping[str, str]) -> "Examination":
        """What `to_json` wrote; DataError where another version of pointlab did."""
        if stored.get("layout") != LAYOUT:
            raise DataError(
                "A stored examination of clouds is in another layout.",
                expected=f"layout {LAYOUT}",
                remedy="it was left by another version of pointlab: make the shard again",
            )
        split: Split = stored["split"]  # type: ignore[assignment]  # written from a Split
        records = np.frombuffer(base64.b85decode(stored["records"]), dtype=RECORD)
        return cls(split, records)


def examine(clouds: Sequence[Cloud], ids: Sequence[int], split: Split) -> Examination:
    """What the checks need of these clouds, which are finite and not empty (`find_problem`)."""
    records = np.zeros(len(clouds), dtype=RECORD)
    records["id"] = ids
    records["label"] = [NO_LABEL if cloud.label is None else cloud.label for cloud in clouds]
    for places in _blocks(clouds):
        points = np.stack([clouds[place].points for place in places])
        _learn(points, records, places)
    return Examination(split, records)


def _blocks(clouds: Sequence[Cloud]) -> Iterator[list[int]]:
    """Places of clouds of equal length, `BLOCK` at a time."""

    def length(place: int) -> int:
        return len(clouds[place].points)

    for _, group in groupby(sorted(range(len(clouds)), key=length), key=length):
        places = list(group)
        for first in range(0, len(places), BLOCK):
            yield places[first : first + BLOCK]


def _learn(points: Float32[np.ndarray, "clouds points 3"], records: np.ndarray, places: list[int]) -> None:
    """Fill in the records of a block of clouds."""
    digests, repeated = content_of(points)
    records["num_points"][places] = points.shape[1]
    records["digest"][places] = digests
    records["repeated"][places] = repeated
    planes = np.ascontiguousarray(points.transpose(0, 2, 1))  # reductions along rows are ten times as fast
    extents = np.ptp(planes, axis=2).max(1)
    sizes = np.where(extents > 0, extents, 1)  # what follows is relative to them: squares cannot overflow
    centred = planes - planes.mean(2, dtype=np.float64, keepdims=True)
    centred = (centred / sizes[:, None, None]).astype(np.float32)
    records["extent"][places] = extents
    records["radius"][places] = sizes * np.sqrt((centred**2).sum(1).max(1))
    stride = -(-points.shape[1] // MAX_POINTS)
    kept = np.ascontiguousarray(_centre(centred[:, :, ::stride]))
    exact = kept.astype(np.float64)
    covariance = exact @ exact.transpose(0, 2, 1) / kept.shape[2]
    records["spreads"][places] = sizes[:, None] * np.sqrt(np.linalg.eigvalsh(covariance).clip(0))
    records["fingerprint"][places] = fingerprints(kept)
    records["axes"][places] = along_axes(kept)
    records["noise"][places] = _noise(kept, records["id"][places])


def _noise(
    kept: Float32[np.ndarray, "clouds 3 points"], ids: np.ndarray
) -> Float32[np.ndarray, "clouds features"]:
    """Differences of the fingerprints of every other point and the rest, for one cloud in `NOISE_EVERY`."""
    noise = np.full((len(ids), NUM_FEATURES), NO_NOISE, dtype=np.float32)
    chosen = np.flatnonzero(ids % NOISE_EVERY == 0)
    num_pairs = kept.shape[2] // 2
    if len(chosen) and num_pairs:
        pairs = kept[chosen, :, : 2 * num_pairs].reshape(len(chosen), 3, num_pairs, 2)
        halves = _centre(np.concatenate([pairs[..., 0], pairs[..., 1]]))
        both = fingerprints(halves)
        noise[chosen] = both[: len(chosen)] - both[len(chosen) :]
    return noise


def _centre(planes: Float32[np.ndarray, "clouds 3 points"]) -> Float32[np.ndarray, "clouds 3 points"]:
    result: np.ndarray = planes - planes.mean(2, keepdims=True)
    return result


def gather(examinations: Sequence[Examination]) -> dict[Split, np.ndarray]:
    """The records of each split, sorted by sample id: the same however the set was sharded."""
    parts: dict[Split, list[np.ndarray]] = {}
    for examination in examinations:
        parts.setdefault(examination.split, []).append(examination.records)
    joined = {split: np.concatenate(arrays) for split, arrays in parts.items()}
    return {split: joined[split][np.argsort(joined[split]["id"], kind="stable")] for split in sorted(joined)}
