"""Renderings that come without their camera: pictures of an object from somewhere."""

import math
from collections.abc import Iterable
from itertools import pairwise
from pathlib import Path

import numpy as np
from PIL import Image

from pointlab.data.formats.parsing import parsing
from pointlab.data.pictures import decode_colour
from pointlab.data.sample import Picture, View
from pointlab.errors import DataError
from pointlab.geometry.cameras import Pinhole

LARGEST_SIDE = 4096
"""Of a picture, in pixels: 50 MB of colours. A small file may announce any number, and a batch holds many."""


def require_one_size(paths: Iterable[Path]) -> None:
    """Nothing, if all pictures have one width and height by their headers; else DataError."""
    sized = ((path, *_size(path)) for path in paths)
    for one, other in pairwise(sized):
        if one[1:] != other[1:]:
            found = [f"{path} has {width} x {height} pixels" for path, width, height in (one, other)]
            raise DataError(
                f"The pictures differ in size: {found[0]}, {found[1]}.",
                expected="one width and height for all pictures of a set",
                remedy="scale or render them to one size",
            )


def read_rendering(path: Path) -> View:
    """A view whose intrinsics and pose are NaN: whoever projects by them gets NaN, never a wrong pixel.

    The picture is decoded once, for whoever meets a broken one later cannot tell its file. Raises DataError
    where it is broken, or larger than `LARGEST_SIDE`.
    """
    width, height = _size(path)
    with parsing(path, "a picture"):
        content = path.read_bytes()
        decode_colour(content, str(path))
    unknown = Pinhole(width, height, *(math.nan,) * 4)
    return View(path.stem, Picture(content, unknown, np.full((4, 4), math.nan)))


def _size(path: Path) -> tuple[int, int]:
    """Width and height by the picture's header; DataError where it has none, or they are out of bounds."""
    with parsing(path, "a picture"), Image.open(path, formats=("JPEG", "PNG")) as picture:  # as in batches
        width, height = picture.size
    if max(width, height) > LARGEST_SIDE:
        raise DataError(
            f"{path} has {width} x {height} pixels.",
            expected=f"at most {LARGEST_SIDE} on each side",
            remedy="scale it, and all others of the set, to what a network sees, such as 224 x 224",
        )
    return width, height
