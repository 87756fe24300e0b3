"""What a retrieval leaves to be looked at: a table of some queries with the nearest shapes of each, and an
artifact with their points and pictures, as a report reads no test split.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Int64
from safetensors.numpy import load as load_safetensors
from safetensors.numpy import save as save_safetensors
from torch import Tensor

from pointlab.data.cache import CachedSplit
from pointlab.data.captions import NO_CAPTION
from pointlab.evaluation.retrieval import Retrieved
from pointlab.experiment.gallery_queries import first_pictures
from pointlab.experiment.shown import publish_files, read_files, small_jpeg, spread
from pointlab.storage import Storage

CLOUDS, JPEG = "clouds.safetensors", ".jpeg"
MAX_POINTS = 512
"""Points of a cloud that are kept: as many as a drawing shows."""
MAX_SIDE = 256
"""Pixels of a picture that are kept, either way: twice what a page shows, for dense screens."""
Rows = list[dict[str, float | str]]


@dataclass(frozen=True)
class Shown:
    """The queries of one kind that are shown, by their places among all, with what they found."""

    retrieved: Retrieved
    places: Int64[Tensor, " shown"]
    texts: tuple[str, ...] = ()
    """Of each of them, where they are texts."""
    rows: tuple[int, ...] = ()
    """Of the cloud of each, where they are pictures."""

    def nearest(self) -> set[int]:
        """Rows of all clouds that were found."""
        return set(self.retrieved.nearest[self.places].flatten().tolist())


def spread_over_ranks(retrieved: Retrieved, num_shown: int) -> Int64[Tensor, " shown"]:
    """Places of queries, evenly from the one with the best rank to the one with the worst."""
    by_rank = retrieved.first_right.argsort(stable=True)
    return by_rank[spread(len(by_rank), num_shown)]


def table_of(shown: Shown, split: CachedSplit, class_names: Sequence[str]) -> Rows:
    """A row for each query and each of its nearest shapes, the nearest first."""
    return [row for number in range(len(shown.places)) for row in _rows(shown, number, split, class_names)]


def _rows(
    shown: Shown, number: int, split: CachedSplit, class_names: Sequence[str]
) -> Iterator[dict[str, float | str]]:
    place, retrieved = int(shown.places[number]), shown.retrieved
    row = shown.rows[number] if shown.rows else None
    asked: dict[str, float | str] = {
        "query": number,
        "text": shown.texts[number] if shown.texts else "",
        "picture": "" if row is None else str(split.ids[row]),
        "picture_class": "" if row is None else _class_of(split, row, class_names),
        "first_right": float(retrieved.first_right[place]),
    }
    nearest, cosines, is_right = (
        values[place].tolist() for values in (retrieved.nearest, retrieved.cosines, retrieved.is_right)
    )
    for rank, (cloud, cosine, right) in enumerate(zip(nearest, cosines, is_right, strict=True), start=1):
        yield {
            **asked,
            "rank": rank,
            "id": str(split.ids[cloud]),
            "class": _class_of(split, cloud, class_names),
            "caption": _caption_of(split, cloud),
            "cosine": round(cosine, 4),
            "is_right": float(right),
        }


def _class_of(split: CachedSplit, row: int, class_names: Sequence[str]) -> str:
    label = int(split.labels[row])
    return class_names[label] if label >= 0 else ""


def _caption_of(split: CachedSplit, row: int) -> str:
    identity = int(split.captions(np.array([row]))[0])
    return "" if identity == NO_CAPTION else split.caption_texts[identity]


def publish_shown(
    storage: Storage, run: str, split: CachedSplit, num_points: int, shown: Iterable[Shown]
) -> None:
    """Store the points of all clouds in the tables, as the network saw them, and small pictures that ask."""
    shown, points = list(shown), min(num_points, MAX_POINTS)
    clouds = {
        str(split.ids[row]): np.array(split.arrays(row, ("points",))["points"][:points])
        for row in sorted(set().union(*(each.nearest() for each in shown)))
    }
    contents = {CLOUDS: save_safetensors(clouds)}
    rows = np.array(sorted({row for each in shown for row in each.rows}), np.int64)
    for row in rows:
        pixels = split.decoded(first_pictures(split, rows[rows == row]))[0]
        contents[f"{split.ids[row]}{JPEG}"] = small_jpeg(pixels, MAX_SIDE)
    publish_files(storage, run, "retrieval", contents)


@dataclass(frozen=True)
class ShownFiles:
    """The artifact of a finished retrieval, read back: points of clouds and JPEG files, by sample id."""

    clouds: dict[str, np.ndarray]
    pictures: dict[str, bytes]


def read_shown(storage: Storage, run: str) -> ShownFiles:
    """What `publish_shown` stored, verified; StorageError where it is not there."""
    contents = read_files(storage, run)
    clouds = load_safetensors(contents.pop(CLOUDS))
    return ShownFiles(clouds, {name.removesuffix(JPEG): content for name, content in contents.items()})
