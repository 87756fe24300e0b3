"""Pictures of a batch cut, resized and mirrored, and the pixels of points with them, exactly.

A crop is a box of real numbers in the picture as it is stored, drawn for each sample by the key that decides
all its augmentation. Pixel centres lie at integers, so a picture covers -0.5 to width - 0.5.
"""

from dataclasses import dataclass
from typing import Annotated

import numpy as np
from jaxtyping import Bool, Float32, Float64, Int64, UInt8
from PIL import Image
from pydantic import Field, PositiveInt, field_validator

from pointlab.config import StrictModel
from pointlab.data.correspondence import UNSEEN
from pointlab.seeding import KeyedDraws

Range = tuple[Annotated[float, Field(gt=0)], Annotated[float, Field(gt=0)]]


class PictureCropConfig(StrictModel):
    """How the pictures of a batch are cut and resized; validation sees them whole."""

    size: tuple[PositiveInt, PositiveInt] | None = None
    """Height and width of the pictures in a batch. null: as stored, which takes pictures of one size."""
    area: Range = (0.5, 1.0)
    """Range of the share of a picture's area that a crop shows: most pairs of points and pixels survive."""
    aspect: Range = (3 / 4, 4 / 3)
    """Range of a crop's aspect ratio, relative to the picture's own; the usual one of random crops."""
    flip: bool = True
    """Whether half of the pictures are mirrored left to right: a room seen in a mirror is as plausible."""

    @field_validator("area", "aspect")
    @classmethod
    def _is_a_range(cls, value: tuple[float, float]) -> tuple[float, float]:
        if value[0] > value[1]:
            raise ValueError("must be a range, its lower end first")
        return value

    @field_validator("area")
    @classmethod
    def _is_of_shares(cls, value: tuple[float, float]) -> tuple[float, float]:
        if value[1] > 1:
            raise ValueError("must be a range of shares within (0, 1], such as [0.5, 1.0]")
        return value

    @field_validator("aspect")
    @classmethod
    def _holds_the_picture_s_own(cls, value: tuple[float, float]) -> tuple[float, float]:
        if not value[0] <= 1 <= value[1]:
            raise ValueError("must hold 1, the picture's own, which alone a crop of all of it has")
        return value


@dataclass(frozen=True)
class Crops:
    """What is shown of each picture of a batch, and how large; the same for pictures and for pixels."""

    boxes: Float64[np.ndarray, "pictures 4"]
    """Left, top, width and height as shares of the picture's own."""
    is_mirrored: Bool[np.ndarray, " pictures"]
    size: tuple[int, int] | None
    """Height and width of what comes out; None: those of the picture."""

    def shown(self, picture: UInt8[np.ndarray, "_ _ 3"], place: int) -> UInt8[np.ndarray, "_ _ 3"]:
        """What is shown of the picture in this place of the batch."""
        height, width = picture.shape[:2]
        size = self.size or (height, width)
        left, top, across, down = self.boxes[place] * (width, height, width, height)
        box = (left, top, min(left + across, width), min(top + down, height))
        if box != (0, 0, width, height) or size != (height, width):
            resized = Image.fromarray(picture).resize(size[::-1], Image.Resampling.BILINEAR, box)
            picture = np.asarray(resized)
        return picture[:, ::-1] if self.is_mirrored[place] else picture

    def moved(
        self, pixels: Float32[np.ndarray, "pictures points 2"], sizes: Int64[np.ndarray, "pictures 2"]
    ) -> Float32[np.ndarray, "pictures points 2"]:
        """These (column, row) of pictures of these widths and heights, in what is shown of them.

        `UNSEEN` where they were that, or lie beyond it.
        """
        after = sizes if self.size is None else np.broadcast_to(self.size[::-1], sizes.shape)
        ratio = after / (self.boxes[:, 2:] * sizes)
        offset = (0.5 - self.boxes[:, :2] * sizes) * ratio - 0.5
        # mirrored: what was c from the left is now c from the right
        ratio[self.is_mirrored, 0] *= -1
        offset[self.is_mirrored, 0] = after[self.is_mirrored, 0] - 1 - offset[self.is_mirrored, 0]
        moved = np.empty_like(pixels)
        is_lost = pixels[..., 0] == UNSEEN
        for axis in range(2):  # several times as fast as pairs of numbers
            placed = pixels[..., axis] * ratio[:, axis, None] + offset[:, axis, None]
            moved[..., axis] = placed
            is_lost |= (moved[..., axis] < -0.5) | (moved[..., axis] >= after[:, axis, None] - 0.5)
        moved[is_lost] = UNSEEN
        return moved


def whole(count: int, config: PictureCropConfig) -> Crops:
    """All of so many pictures, resized at most: what validation sees."""
    return Crops(np.tile([0.0, 0.0, 1.0, 1.0], (count, 1)), np.zeros(count, bool), config.size)


def draw_crops(draws: KeyedDraws, config: PictureCropConfig) -> Crops:
    """A crop for each key: its area uniform, its aspect ratio uniform in the logarithm, its place uniform.

    Aspect ratios are drawn of those at which a box of that area fits into the picture.
    """
    area = draws.uniform("picture area", 1, *config.area)
    lowest, highest = np.maximum(config.aspect[0], area), np.minimum(config.aspect[1], 1 / area)
    aspect = lowest * (highest / lowest) ** draws.uniform("picture aspect", 1)
    extent = np.sqrt(np.concatenate([area * aspect, area / aspect], axis=1)).clip(max=1)  # of rounding
    start = draws.uniform("picture place", 2) * (1 - extent)
    is_mirrored = config.flip & (draws.uniform("picture mirror", 1)[:, 0] < 0.5)
    return Crops(np.concatenate([start, extent], axis=1), is_mirrored, config.size)
