"""From pictures in bytes to what a network takes.

The same sizes and numbers go into `preprocessor_config.json`, so that the image processors of `transformers`
prepare pictures for a stored network as it was trained.
"""

from typing import Any

import torch.nn.functional as F
from jaxtyping import Float, UInt8
from torch import Tensor

from pointlab.data.cached_pictures import NO_PICTURE
from pointlab.data.sample import PointBatch
from pointlab.errors import DataError

MEAN = STD = (0.5, 0.5, 0.5)
"""Channels run from -1 to 1, as in the original ViT."""
BILINEAR = 2  # Pillow's number of it
Pixels = Float[Tensor, "batch 3 size size"]


def require_pictures(batch: PointBatch) -> UInt8[Tensor, "batch height width 3"]:
    """The picture of every sample; DataError where the set has none, or a cloud lacks one."""
    if batch.pictures is None:
        raise DataError(
            "Samples without pictures reached a network that learns from them.",
            expected="a set whose clouds bring views, such as configs/data/shapes-views.yaml",
        )
    if batch.picture_numbers is not None and bool((batch.picture_numbers == NO_PICTURE).any()):
        bare = batch.ids[batch.picture_numbers == NO_PICTURE]
        raise DataError(
            f"{len(bare)} of {len(batch)} clouds of a batch have no picture, such as {int(bare[0])}.",
            expected="a colour picture of every cloud, where a network learns from pictures alone",
            remedy="add views to the source files of these clouds, or take the clouds out",
        )
    return batch.pictures


def to_pixels(pictures: UInt8[Tensor, "batch height width 3"], size: int) -> Pixels:
    """Channels first, resized to `size` along both sides where they differ, -1 to 1."""
    values = pictures.movedim(3, 1).float() / 255
    if values.shape[2:] != (size, size):
        values = F.interpolate(values, (size, size), mode="bilinear", antialias=True)
    mean, std = (values.new_tensor(numbers).view(3, 1, 1) for numbers in (MEAN, STD))
    return (values - mean) / std


def preprocessor_settings(size: int, processor: str) -> dict[str, Any]:
    """What `preprocessor_config.json` says, for the image processor of this name."""
    return {
        "image_processor_type": processor,
        "do_convert_rgb": True,
        "do_resize": True,
        "size": {"height": size, "width": size},
        "resample": BILINEAR,
        "do_center_crop": False,
        "do_rescale": True,
        "rescale_factor": 1 / 255,
        "do_normalize": True,
        "image_mean": list(MEAN),
        "image_std": list(STD),
    }
