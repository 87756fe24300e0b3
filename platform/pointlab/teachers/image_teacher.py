"""A finished network that says a vector of each picture: frozen, loaded once, on any device.

Pictures are prepared as the folder's own image processor does it.
"""

from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from pointlab.errors import DataError
from pointlab.objectives.targets import PictureNetwork
from pointlab.teachers.families import POOLER, SIGHTED
from pointlab.teachers.folders import require_type
from pointlab.teachers.library import quiet_transformers
from pointlab.teachers.loading import FAILURES, LOADED_FROM_HERE, damaged, load_network

PREPARATIONS = ("preprocessor_config.json", "processor_config.json")
"""Where a folder tells how pictures are prepared; newer ones keep it in the second."""


class ImageTeacher(PictureNetwork):
    """Pictures to features as the network gives them, not normalised; never in training mode.

    Of a CLIP the projected features; of a ViT or DINOv2 the class token after the final norm, or
    tanh(Linear(class token)) where a ViT brings its pooling layer, as the one that ReCon learns from.
    """

    def __init__(self, folder: Path) -> None:
        """Load network and image processor; DataError for a folder of another kind, or not whole."""
        super().__init__()
        sighted = SIGHTED[require_type(folder, SIGHTED)]
        self.processor = _processor_of(folder)
        network, missing = load_network(folder, sighted.network, spared=POOLER)
        if missing:
            network.pooler = None
        self.network: Any = network.requires_grad_(False)
        self.width = sighted.width(network.config)
        self._says = sighted.says
        self.eval()

    def train(self, mode: bool = True) -> "ImageTeacher":  # noqa: ARG002
        """Itself, in eval mode."""
        super().train(False)
        return self

    @torch.no_grad()
    def forward(self, pictures: UInt8[Tensor, "batch height width 3"]) -> Float[Tensor, "batch features"]:
        """Features of these pictures, on the network's device."""
        device = next(self.network.parameters()).device
        said: Tensor = self._says(self.network, self.prepared(pictures.to(device)))
        return said

    def prepared(self, pictures: UInt8[Tensor, "batch height width 3"]) -> Float[Tensor, "batch 3 _ _"]:
        """Pixels as the network takes them, on the pictures' device.

        Those of the right size are prepared there; others are resized by the processor, on the CPU.
        """
        if self._keeps_size(pictures.shape[1], pictures.shape[2]):
            return self._scaled(pictures)
        rows = list(pictures.cpu().numpy())
        said = self.processor(rows, return_tensors="pt", input_data_format="channels_last")
        pixels: Tensor = said["pixel_values"]
        return pixels.to(pictures.device)

    def _keeps_size(self, height: int, width: int) -> bool:
        """Whether the processor would neither resize nor crop such pictures, nor do anything unusual."""
        does = self.processor
        if getattr(does, "do_pad", None):
            return False
        resized = dict(does.size) if does.do_resize else {}
        cropped = dict(does.crop_size) if getattr(does, "do_center_crop", None) else {}
        return _is_kept(resized, height, width) and _is_kept(cropped, height, width)

    def _scaled(self, pictures: UInt8[Tensor, "batch height width 3"]) -> Float[Tensor, "batch 3 _ _"]:
        does = self.processor
        values = pictures.movedim(3, 1).float()
        if does.do_rescale:
            values = values * does.rescale_factor
        if does.do_normalize:
            mean, std = (
                values.new_tensor(numbers).view(-1, 1, 1) for numbers in (does.image_mean, does.image_std)
            )
            values = (values - mean) / std
        return values


def _is_kept(size: dict[str, int], height: int, width: int) -> bool:
    """Whether pictures already have this size, given as both sides or as the shorter one."""
    if size.keys() <= {"shortest_edge"}:
        return not size or min(height, width) == size["shortest_edge"]
    return size == {"height": height, "width": width}


def _processor_of(folder: Path) -> Any:
    if not any((folder / name).is_file() for name in PREPARATIONS):
        raise DataError(
            f"{folder} does not say how pictures are prepared for its network: it has no {PREPARATIONS[0]}.",
            expected="the file that the image processor of transformers saves",
            remedy="copy it from where the network is from",
        )
    with quiet_transformers() as library:
        try:
            return library.AutoImageProcessor.from_pretrained(folder, **LOADED_FROM_HERE)
        except FAILURES as error:
            raise damaged(folder, "image processor", error) from error
