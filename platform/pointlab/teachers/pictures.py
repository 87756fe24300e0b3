"""From pictures in bytes to what a network takes; in training, slightly varied by torch's generator.

The same sizes and numbers go into `preprocessor_config.json`, so that the image processors of `transformers`
prepare pictures for a stored network as it was trained.
"""

from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float, UInt8
from torch import Tensor

from pointlab.data.sample import PointBatch
from pointlab.errors import DataError
from pointlab.teachers.settings import PictureAugmentation

MEAN = STD = (0.5, 0.5, 0.5)
"""Channels run from -1 to 1, as in the original ViT."""
BILINEAR = 2  # Pillow's number of it
Pixels = Float[Tensor, "batch 3 size size"]


def require_pictures(batch: PointBatch) -> UInt8[Tensor, "batch height width 3"]:
    """The picture of every sample; DataError where the set has none."""
    if batch.pictures is None:
        raise DataError(
            "Samples without pictures reached a network that learns from them.",
            expected="a set whose clouds bring views, such as configs/data/shapes-views.yaml",
        )
    return batch.pictures


def to_pixels(pictures: UInt8[Tensor, "batch height width 3"], size: int) -> Pixels:
    """Channels first, resized to `size` along both sides where they differ, -1 to 1."""
    values = pictures.movedim(3, 1).float() / 255
    if values.shape[2:] != (size, size):
        values = F.interpolate(values, (size, size), mode="bilinear", antialias=True)
    mean, std = (values.new_tensor(numbers).view(3, 1, 1) for numbers in (MEAN, STD))
    return (values - mean) / std


def varied(pixels: Pixels, augmentation: PictureAugmentation) -> Pixels:
    """Each picture shifted and mirrored by draws of torch's generator."""
    if augmentation.flip:
        is_mirrored = torch.rand(len(pixels), device=pixels.device) < 0.5
        pixels = torch.where(is_mirrored.view(-1, 1, 1, 1), pixels.flip(3), pixels)
    return _shifted(pixels, augmentation.shift) if augmentation.shift else pixels


def _shifted(pixels: Pixels, most: int) -> Pixels:
    size = pixels.shape[-1]
    starts = torch.randint(0, 2 * most + 1, (2, len(pixels), 1), device=pixels.device)
    rows, columns = starts + torch.arange(size, device=pixels.device)  # of the padded picture
    padded = F.pad(pixels, (most, most, most, most), mode="replicate")
    chosen = torch.arange(len(pixels), device=pixels.device).view(-1, 1, 1)
    moved = padded.movedim(1, 3)[chosen, rows.unsqueeze(2), columns.unsqueeze(1)]  # [batch, size, size, 3]
    return moved.movedim(3, 1)


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
