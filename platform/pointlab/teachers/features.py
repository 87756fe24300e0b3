"""Features that a finished network has of pictures and of texts, one of each: the targets of ReCon."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from pointlab.errors import DataError
from pointlab.teachers.image_teacher import ImageTeacher
from pointlab.teachers.text_teacher import TextTeacher

TOGETHER = 64
"""Pictures at a time: their activations in a ViT-B fit into a gigabyte."""
Item = TypeVar("Item")


def image_features(
    folder: Path, pictures: Sequence[UInt8[np.ndarray, "_ _ 3"]]
) -> Float[Tensor, "pictures width"]:
    """An `ImageTeacher`'s features of pictures, which may differ in size.

    Raises DataError for a folder that it does not take, and for no pictures.
    """
    if len(pictures) == 0:
        raise DataError("No picture was given to be looked at.", expected="one or more pictures")
    alike = (list(group) for _, group in groupby(pictures, key=lambda picture: picture.shape))
    parts = (np.stack(part) for group in alike for part in _parts(group))
    return torch.cat(list(image_feature_batches(ImageTeacher(folder), parts)))


def image_feature_batches(
    teacher: ImageTeacher, batches: Iterable[UInt8[np.ndarray, "_ _ _ 3"]]
) -> Iterator[Float[Tensor, "_ width"]]:
    """The teacher's features of each batch of pictures, one after the other."""
    return (teacher(torch.from_numpy(batch)).cpu() for batch in batches)


def text_features(folder: Path, texts: Sequence[str]) -> Float[Tensor, "texts width"]:
    """A `TextTeacher`'s features of texts; those that are too long for it are cut.

    Raises DataError for a folder that it does not take, and for no texts.
    """
    return encoded_texts(TextTeacher(folder), texts)


def encoded_texts(teacher: TextTeacher, texts: Sequence[str]) -> Float[Tensor, "texts width"]:
    """The teacher's features of texts; DataError for none.

    Texts are encoded one by one, as a matrix product of more rows rounds differently: a text's neighbours are
    whichever others its set has, and its bits are not to depend on them. A picture's neighbours are always
    those of its number in one set, so pictures go in batches.
    """
    tokens, mask = teacher.tokenised(texts)
    parts = zip(tokens.split(1), mask.split(1), strict=True)
    return torch.cat([teacher(*part).cpu() for part in parts])


def _parts(items: Sequence[Item]) -> Iterator[Sequence[Item]]:
    return (items[first : first + TOGETHER] for first in range(0, len(items), TOGETHER))
