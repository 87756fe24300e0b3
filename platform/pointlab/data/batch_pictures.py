"""What a batch has beside points: a picture of each cloud, the pixels of its points in it, its caption.

All views of a sample have one picture, cut once, so pixels of any of them refer to the same.
"""

import numpy as np
from jaxtyping import Float32, Int64

from pointlab.data.cache import CachedSplit
from pointlab.data.correspondence import UNSEEN
from pointlab.data.picture_crops import Crops, PictureCropConfig, draw_crops, whole
from pointlab.data.sample import Arrays
from pointlab.seeding import KeyedDraws

PER_SAMPLE = ("pictures", "picture_numbers", "captions")
"""Inputs that belong to a sample as a whole; all others have a row for each point."""


def with_pictures(
    arrays: Arrays,
    split: CachedSplit,
    rows: Int64[np.ndarray, " clouds"],
    inputs: tuple[str, ...],
    *,
    config: PictureCropConfig | None,
    draws: KeyedDraws | None = None,
) -> Arrays:
    """The batch of these rows with what `inputs` ask of pictures and captions.

    Without draws, the picture of each cloud is its first, and whole. Pixels are found by the `rows` of the
    arrays, which stay where they are asked for themselves. Whoever asks for pictures or pixels gets the
    pictures' numbers too, which alone tell a missing picture from a black one.
    """
    arrays = dict(arrays)
    if {"pictures", "picture_numbers", "pixels"} & set(inputs):
        chances = np.zeros(len(rows)) if draws is None else draws.uniform("picture", 1)[:, 0]
        numbers = arrays["picture_numbers"] = split.picture_numbers(rows, chances)
        crops = _crops(len(rows), config, draws)
        if "pictures" in inputs:
            arrays["pictures"] = split.decoded(numbers, crops)
        if "pixels" in inputs:
            for view in [name.removesuffix("rows") for name in arrays if name.rpartition("/")[2] == "rows"]:
                places = arrays[f"{view}rows"] if "rows" in inputs else arrays.pop(f"{view}rows")
                arrays[f"{view}pixels"] = _pixels(split, rows, places, numbers, crops)
    if "captions" in inputs:
        arrays["captions"] = split.captions(rows)
    return arrays


def _crops(count: int, config: PictureCropConfig | None, draws: KeyedDraws | None) -> Crops | None:
    if config is None:
        return None
    return whole(count, config) if draws is None else draw_crops(draws, config)


def _pixels(
    split: CachedSplit,
    rows: Int64[np.ndarray, " clouds"],
    places: Int64[np.ndarray, "clouds points"],
    numbers: Int64[np.ndarray, " clouds"],
    crops: Crops | None,
) -> Float32[np.ndarray, "clouds points 2"]:
    """Pixels of these points in what is shown of the pictures; `UNSEEN` in padded rows, whose place is -1."""
    pixels = split.pixels(rows, places, numbers)
    pixels[places < 0] = UNSEEN
    return pixels if crops is None else crops.moved(pixels, split.picture_sizes(numbers))
