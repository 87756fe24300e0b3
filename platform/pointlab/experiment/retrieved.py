"""What a retrieval leaves to be looked at: a table of some queries with the nearest shapes of each, and an
artifact with their points and pictures, as a report reads no test split.
"""

import io
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Int64, UInt8
from PIL import Image
from safetensors.numpy import load as load_safetensors
from safetensors.numpy import save as save_safetensors
from torch import Tensor

from pointlab.data.cache import CachedSplit
from pointlab.data.captions import NO_CAPTION
from pointlab.data.pictures import JPEG_QUALITY
from pointlab.errors import StorageError
from pointlab.evaluation.retrieval import Retrieved
from pointlab.experiment.gallery_queries import first_pictures
from pointlab.storage import Storage, publish, read_manifest
from pointlab.storage.artifact import read_verified

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
    steps = torch.linspace(0, len(by_rank) - 1, min(num_shown, len(by_rank)), dtype=torch.float64)
    return by_rank[steps.round().long()]


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
    """Store the points of all clouds in the tables, as the network saw them, and small pictures that ask.

    What an attempt that died after this has left is replaced: no record speaks of it.
    """
    shown = list(shown)
    path, points = f"runs/{run}/shown", min(num_points, MAX_POINTS)
    clouds = {
        str(split.ids[row]): np.array(split.arrays(row, ("points",))["points"][:points])
        for row in sorted(set().union(*(each.nearest() for each in shown)))
    }
    contents = {CLOUDS: save_safetensors(clouds)}
    rows = np.array(sorted({row for each in shown for row in each.rows}), np.int64)
    for row in rows:
        pixels = split.decoded(first_pictures(split, rows[rows == row]))[0]
        contents[f"{split.ids[row]}{JPEG}"] = small_jpeg(pixels)
    if read_manifest(storage, path) is not None:
        storage.delete_folder(path)
    publish(storage, path, "retrieval", contents, {"run": run})


def small_jpeg(pixels: UInt8[np.ndarray, "height width 3"]) -> bytes:
    """A file of the picture, shrunk to at most `MAX_SIDE` pixels either way."""
    image, sink = Image.fromarray(pixels), io.BytesIO()
    image.thumbnail((MAX_SIDE, MAX_SIDE))  # keeps the aspect, and smaller pictures as they are
    image.save(sink, "JPEG", quality=JPEG_QUALITY)
    return sink.getvalue()


@dataclass(frozen=True)
class ShownFiles:
    """The artifact of a finished retrieval, read back: points of clouds and JPEG files, by sample id."""

    clouds: dict[str, np.ndarray]
    pictures: dict[str, bytes]


def read_shown(storage: Storage, run: str) -> ShownFiles:
    """What `publish_shown` stored, verified; StorageError where it is not there."""
    path = f"runs/{run}/shown"
    manifest = read_manifest(storage, path)
    if manifest is None:
        raise StorageError(
            f"The retrieval {run} has no pictures.",
            expected=f"an artifact at {storage.locate(path)}",
            remedy="run its config with --rerun",
        )
    contents = {name: read_verified(storage, path, name, manifest, f"runs/{run}") for name in manifest.files}
    clouds = load_safetensors(contents.pop(CLOUDS))
    return ShownFiles(clouds, {name.removesuffix(JPEG): content for name, content in contents.items()})
