"""Renderings that come without their camera: pictures of an object from somewhere."""

import io
import math
from pathlib import Path

import numpy as np
from PIL import Image

from pointlab.data.formats.parsing import parsing
from pointlab.data.sample import Picture, View
from pointlab.geometry.cameras import Pinhole


def read_rendering(path: Path) -> View:
    """A view whose intrinsics and pose are NaN: whoever projects by them gets NaN, never a wrong pixel."""
    with parsing(path, "a picture"):
        content = path.read_bytes()
        with Image.open(io.BytesIO(content), formats=("JPEG", "PNG")) as picture:  # what batches decode
            width, height = picture.size
    unknown = Pinhole(width, height, *(math.nan,) * 4)
    return View(path.stem, Picture(content, unknown, np.full((4, 4), math.nan)))
