"""The artifact `shown` of a run: what its page shows of single clouds, as a report reads no test split."""

import io
from collections.abc import Mapping

import numpy as np
import torch
from jaxtyping import Float16, Float32, Int64, UInt8
from PIL import Image
from torch import Tensor

from pointlab.data.pictures import JPEG_QUALITY
from pointlab.errors import StorageError
from pointlab.storage import Storage, publish, read_manifest
from pointlab.storage.artifact import read_verified


def spread(count: int, num_shown: int) -> Int64[Tensor, " shown"]:
    """Places of so many among `count`, or of all, evenly from the first to the last."""
    steps = torch.linspace(0, count - 1, min(num_shown, count), dtype=torch.float64)
    return steps.round().long()


def publish_files(storage: Storage, run: str, kind: str, contents: Mapping[str, bytes]) -> None:
    """Store `contents` as `runs/<run>/shown`.

    What an attempt that died after this has left is replaced: no record speaks of it.
    """
    path = f"runs/{run}/shown"
    if read_manifest(storage, path) is not None:
        storage.delete_folder(path)
    publish(storage, path, kind, contents, {"run": run})


def has_files(storage: Storage, run: str) -> bool:
    """Whether `publish_files` has stored something of this run."""
    return read_manifest(storage, f"runs/{run}/shown") is not None


def read_files(storage: Storage, run: str) -> dict[str, bytes]:
    """What `publish_files` stored, verified; StorageError where it is not there."""
    path = f"runs/{run}/shown"
    manifest = read_manifest(storage, path)
    if manifest is None:
        raise StorageError(
            f"The run {run} has nothing to show.",
            expected=f"an artifact at {storage.locate(path)}",
            remedy="run its config with --rerun",
        )
    return {name: read_verified(storage, path, name, manifest, f"runs/{run}") for name in manifest.files}


def middle_of(points: Float32[np.ndarray, "points 3"]) -> Float32[np.ndarray, " 3"]:
    """The middle of a cloud's box."""
    middle: Float32[np.ndarray, " 3"] = (points.min(0) + points.max(0)) / 2
    return middle


def small_points(points: Float32[np.ndarray, "points 3"]) -> Float16[np.ndarray, "points 3"]:
    """Half as many bytes: three digits of coordinates, which are around a middle."""
    return np.ascontiguousarray(points.astype(np.float16))


def small_jpeg(pixels: UInt8[np.ndarray, "height width 3"], max_side: int) -> bytes:
    """A file of the picture, shrunk to at most `max_side` pixels either way."""
    image, sink = Image.fromarray(pixels), io.BytesIO()
    image.thumbnail((max_side, max_side))  # keeps the aspect, and smaller pictures as they are
    image.save(sink, "JPEG", quality=JPEG_QUALITY)
    return sink.getvalue()
