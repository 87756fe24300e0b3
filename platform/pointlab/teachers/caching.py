"""A finished network's features of pictures and texts, computed once on each machine and kept there.

By what decides them (`data/cached_rows.py`): `identity_of` the network's folder, the pictures or texts, the
kind of device, and the versions of the libraries, so that equal runs learn from equal bits.
"""

import functools
from collections.abc import Callable, Sequence
from importlib.metadata import version
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, Int64, UInt8
from torch import Tensor

from pointlab.data.cached_rows import Compute, Shelf, Watch, cached_rows, unwatched
from pointlab.errors import ConfigError
from pointlab.seeding import stable_hash
from pointlab.teachers.features import TOGETHER, encoded_texts, image_feature_batches
from pointlab.teachers.identity import identity_of
from pointlab.teachers.image_maps import ImageMaps
from pointlab.teachers.image_teacher import ImageTeacher
from pointlab.teachers.text_teacher import TextTeacher

VERSION = 2
"""Raised when the code computes something else of the same picture or text."""
LIBRARIES = ("transformers", "tokenizers", "torch", "pillow")
"""Another version of them may round, resize or read otherwise."""
SHELF = Shelf("features", num_tables=32)
"""Tables of a study; that of 40,000 pictures by a ViT-B has 120 megabytes."""
PART = 16 * TOGETHER
"""Rows that are lost at most when a worker ends: minutes of a ViT-B on slow cores. Whole batches, so that
what is computed together does not depend on where somebody was interrupted."""
MOST_BYTES = 8 << 30
"""Of a table of maps: 3,500 pictures of 480 by 640 pixels, seen by a ResNet-50."""
USUAL_PIXELS = 224 * 224
"""Of a picture of which `TOGETHER` are seen at a time; of larger ones it is fewer."""
Decoded = Callable[[Int64[np.ndarray, " _"]], UInt8[np.ndarray, "_ height width 3"]]


def cached_image_features(
    folder: Path,
    numbers: Int64[np.ndarray, " pictures"],
    decoded: Decoded,
    key: str,
    device: torch.device,
    *,
    watch: Watch = unwatched,
) -> Float[Tensor, "pictures width"]:
    """An `ImageTeacher`'s features of the pictures of these numbers, mapped from disk.

    `key` stands for all of them together. They are `decoded`, and the network read, only where features
    are not in the cache.
    """
    teacher = functools.cache(lambda: ImageTeacher(folder).to(device))

    def compute(first: int, last: int) -> Float[Tensor, "_ width"]:
        borders = [*range(first, last, TOGETHER), last]
        batches = (decoded(numbers[start:end]) for start, end in pairwise(borders))
        return torch.cat(list(image_feature_batches(teacher(), batches)))

    deciding = ("pictures", key, identity_of(folder), *_made_with(device))
    return _cached(compute, len(numbers), *deciding, watch=watch)


def cached_image_maps(
    folder: Path,
    numbers: Int64[np.ndarray, " pictures"],
    decoded: Decoded,
    key: str,
    device: torch.device,
    *,
    watch: Watch = unwatched,
) -> Float[Tensor, "pictures channels rows columns"]:
    """What `ImageMaps` says of the pictures of these numbers, which have one size, mapped from disk.

    `key` stands for all of them together. The first is decoded, for the size; the others, and the network
    read, only where maps are not in the cache. Raises ConfigError for more than `MOST_BYTES`, which are told
    before anything is kept.
    """
    first = decoded(numbers[:1])
    together = max(1, TOGETHER * USUAL_PIXELS // (first.shape[1] * first.shape[2]))

    @functools.cache
    def bounded() -> ImageMaps:
        network = ImageMaps(folder).to(device)
        _require_bounded(len(numbers), network(torch.from_numpy(first)).shape[1:])
        return network

    def compute(start: int, end: int) -> Float[Tensor, "_ channels rows columns"]:
        borders = [*range(start, end, together), end]
        batches = (torch.from_numpy(decoded(numbers[a:b])) for a, b in pairwise(borders))
        return torch.cat([bounded()(batch).cpu() for batch in batches])

    deciding = ("maps of cells", key, str(first.shape), identity_of(folder), *_made_with(device))
    part = together * PART // TOGETHER
    return _cached(compute, len(numbers), "pictures", *deciding, watch=watch, part=part)


def _require_bounded(num_maps: int, shape: torch.Size) -> None:
    num_bytes = 4 * num_maps * shape.numel()
    if num_bytes > MOST_BYTES:
        raise ConfigError(
            f"The maps of {num_maps:,} pictures, {' x '.join(map(str, shape))} numbers each, would take"
            f" {num_bytes:,} bytes of this machine's cache.",
            expected=f"at most {MOST_BYTES:,}",
            remedy="set paradigm.picture_augmentation, so that the teacher is asked in every step"
            " ({area: [1, 1], flip: false} leaves the pictures as they are), or a smaller"
            " paradigm.picture_size, which makes smaller maps",
        )


def cached_text_features(
    folder: Path, texts: Sequence[str], device: torch.device, *, watch: Watch = unwatched
) -> Float[Tensor, "texts width"]:
    """A `TextTeacher`'s features of these texts, mapped from disk; DataError for no texts."""
    teacher = functools.cache(lambda: TextTeacher(folder).to(device))

    def compute(first: int, last: int) -> Float[Tensor, "_ width"]:
        return encoded_texts(teacher(), texts[first:last])

    deciding = ("texts", stable_hash(*texts), identity_of(folder), *_made_with(device))
    return _cached(compute, len(texts), *deciding, watch=watch)


def _made_with(device: torch.device) -> list[str]:
    return [device.type, *(f"{name} {version(name)}" for name in LIBRARIES)]


def _cached(
    compute: Compute, num_rows: int, of: str, *key: str, watch: Watch, part: int | None = None
) -> Float[Tensor, "rows *width"]:
    """Tables of teachers, of what `of` says."""
    return cached_rows(compute, num_rows, of, VERSION, of, *key, shelf=SHELF, part=part or PART, watch=watch)
