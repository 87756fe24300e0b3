"""What shapes of a split are looked for by: its captions, and the first picture of each of its clouds."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, Int64
from torch import Tensor

from pointlab.data.cache import CachedSplit
from pointlab.data.cached_pictures import NO_PICTURE
from pointlab.data.captions import NO_CAPTION
from pointlab.teachers import cached_image_features, cached_text_features


@dataclass(frozen=True)
class Queries:
    """What a teacher says of each query, and which clouds are right for it: those whose number in `found` is
    that of the query in `wanted`."""

    features: Float[Tensor, "queries width"]
    wanted: Int64[np.ndarray, " queries"]
    found: Int64[np.ndarray, " clouds"]


def by_captions(split: CachedSplit, folder: Path, device: torch.device) -> Queries:
    """Each caption once, by its hash; right are the clouds that have this very caption."""
    hashes = split.captions(np.arange(len(split)))
    wanted = np.unique(hashes[hashes != NO_CAPTION])
    texts = [split.caption_texts[identity] for identity in wanted.tolist()]
    return Queries(cached_text_features(folder, texts, device), wanted, hashes)


def by_pictures(split: CachedSplit, folder: Path, device: torch.device) -> Queries:
    """The first picture of each cloud that has one, by the cloud's row; right is that cloud alone."""
    rows = np.arange(len(split))
    wanted = np.flatnonzero(first_pictures(split, rows) != NO_PICTURE)
    key = f"first pictures of {split.folder.parent.name}/{split.folder.name}"
    numbers = first_pictures(split, wanted)
    features = cached_image_features(folder, numbers, split.decoded, key, device)
    return Queries(features, wanted, rows)


def by_pictures_of_a_class(pictures: Queries, split: CachedSplit) -> Queries:
    """The same pictures, as far as their clouds have labels; right are all clouds of the class."""
    labels = np.asarray(split.labels, np.int64)
    is_labelled = labels[pictures.wanted] >= 0
    return Queries(pictures.features[is_labelled], labels[pictures.wanted[is_labelled]], labels)


def first_pictures(split: CachedSplit, rows: Int64[np.ndarray, " clouds"]) -> Int64[np.ndarray, " clouds"]:
    """Number of the first picture of each of these clouds, `NO_PICTURE` where it has none."""
    return split.picture_numbers(rows, np.zeros(len(rows)))
