"""What a finished network says of pictures and of texts, one vector each: the targets of ReCon."""

from collections.abc import Iterator, Sequence
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
    """What an `ImageTeacher` says of pictures, which may differ in size.

    Raises DataError for a folder that it does not take, and for no pictures.
    """
    if len(pictures) == 0:
        raise DataError("No picture was given to be looked at.", expected="one or more pictures")
    teacher = ImageTeacher(folder)
    alike = (list(group) for _, group in groupby(pictures, key=lambda picture: picture.shape))
    parts = (part for group in alike for part in _parts(group))
    return torch.cat([teacher(torch.from_numpy(np.stack(part))) for part in parts])


def text_features(folder: Path, texts: Sequence[str]) -> Float[Tensor, "texts width"]:
    """What a `TextTeacher` says of texts; those that are too long for it are cut.

    They are read one by one: a matrix product of more rows rounds differently, and the bits of a text's
    features are to depend on nothing beside it.

    Raises DataError for a folder that it does not take, and for no texts.
    """
    teacher = TextTeacher(folder)
    tokens, mask = teacher.tokenised(texts)
    parts = zip(tokens.split(1), mask.split(1), strict=True)
    return torch.cat([teacher(*part) for part in parts])


def _parts(items: Sequence[Item]) -> Iterator[Sequence[Item]]:
    return (items[first : first + TOGETHER] for first in range(0, len(items), TOGETHER))
