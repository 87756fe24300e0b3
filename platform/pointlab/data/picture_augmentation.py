"""Pictures slightly varied: shifted and mirrored by draws of torch's own generator."""

import torch
from jaxtyping import Shaped
from pydantic import NonNegativeInt
from torch import Tensor

from pointlab.config import StrictModel


class PictureAugmentation(StrictModel):
    """What is drawn for every picture in training; validation sees them as they are."""

    shift: NonNegativeInt = 4
    """Largest shift along each axis, in pixels of the picture that is varied; border pixels are repeated
    beyond theirs."""
    flip: bool = True
    """Whether half of the pictures are mirrored left to right: no class or caption of the built-in objects
    knows a side. Writing does."""

    @property
    def keeps_all(self) -> bool:
        """Whether pictures stay as they are."""
        return not (self.shift or self.flip)


def varied(
    pictures: Shaped[Tensor, "batch channels height width"], augmentation: PictureAugmentation
) -> Shaped[Tensor, "batch channels height width"]:
    """Each picture shifted and mirrored by draws of torch's generator."""
    if augmentation.flip:
        is_mirrored = torch.rand(len(pictures), device=pictures.device) < 0.5
        pictures = torch.where(is_mirrored.view(-1, 1, 1, 1), pictures.flip(3), pictures)
    return _shifted(pictures, augmentation.shift) if augmentation.shift else pictures


def _shifted(pictures: Tensor, most: int) -> Tensor:
    shifts = torch.randint(0, 2 * most + 1, (2, len(pictures), 1), device=pictures.device) - most
    rows, columns = (  # [batch, height] and [batch, width], of the picture as it is
        (shift + torch.arange(size, device=pictures.device)).clamp(0, size - 1)
        for shift, size in zip(shifts, pictures.shape[2:], strict=True)
    )
    chosen = torch.arange(len(pictures), device=pictures.device).view(-1, 1, 1)
    moved = pictures.movedim(1, 3)[chosen, rows.unsqueeze(2), columns.unsqueeze(1)]
    return moved.movedim(3, 1)
