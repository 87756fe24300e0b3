"""A finished network that gives a feature of each picture: frozen, loaded once, on any device.

Pictures are prepared as the folder's own image processor does it.
"""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from pointlab.errors import DataError
from pointlab.objectives.targets import PictureNetwork
from pointlab.seeding import generator
from pointlab.teachers.families import IMAGE_ENCODERS, POOLER
from pointlab.teachers.folders import require_type
from pointlab.teachers.library import quiet_transformers
from pointlab.teachers.loading import FAILURES, LOADED_FROM_HERE, damaged, load_network

PREPARATIONS = ("preprocessor_config.json", "processor_config.json")
"""Where a folder tells how pictures are prepared; newer ones keep it in the second."""
BACKEND = "pil"
"""Pillow resizes: the library's other way rounds differently, and would be taken where torchvision is."""


class ImageTeacher(PictureNetwork):
    """Pictures to features as the network gives them, not normalised; never in training mode.

    Of a CLIP the projected features; of a ViT or DINOv2 the class token after the final norm, or
    tanh(Linear(class token)) where a ViT brings its pooling layer, as the one that ReCon learns from.
    """

    def __init__(self, folder: Path) -> None:
        """Load network and image processor; DataError for a folder of another kind, or not whole."""
        super().__init__()
        encoder = IMAGE_ENCODERS[require_type(folder, IMAGE_ENCODERS)]
        self.processor = processor_of(folder)
        network, missing = load_network(folder, encoder.network, spared=POOLER)
        if missing:
            network.pooler = None
        self.network: Any = network.requires_grad_(False)
        self.width = encoder.width(network.config)
        self._features = encoder.features
        self._sizes: dict[tuple[int, int], bool] = {}
        self.eval()

    def train(self, mode: bool = True) -> "ImageTeacher":  # noqa: ARG002
        """Itself, in eval mode."""
        super().train(False)
        return self

    @torch.no_grad()
    def forward(self, pictures: UInt8[Tensor, "batch height width 3"]) -> Float[Tensor, "batch features"]:
        """Features of these pictures, on the network's device; in float32, under autocast too."""
        device = next(self.network.parameters()).device
        with torch.autocast(device.type, enabled=False):
            features: Tensor = self._features(self.network, self.prepared(pictures.to(device)))
        return features

    def prepared(self, pictures: UInt8[Tensor, "batch height width 3"]) -> Float[Tensor, "batch 3 _ _"]:
        """Pixels as the network takes them, on the pictures' device.

        Those whose numbers are merely scaled are prepared there; with others the processor does what its
        settings say, on the CPU.
        """
        if self._merely_scales(pictures.shape[1], pictures.shape[2]):
            return self._scaled(pictures)
        return self._processed(pictures)

    def _merely_scales(self, height: int, width: int) -> bool:
        """Whether the processor does no more to pictures of this size, found by trying it on one of noise.

        Not told from its settings: by them one may crop, pad or swap channels under many names.
        """
        if (height, width) not in self._sizes:
            noise = generator("noise", height, width).integers(0, 256, (1, height, width, 3), np.uint8)
            picture = torch.from_numpy(noise)
            processed, scaled = self._processed(picture), self._scaled(picture)
            is_equal = processed.shape == scaled.shape and torch.allclose(processed, scaled, atol=1e-5)
            self._sizes[height, width] = is_equal
        return self._sizes[height, width]

    def _processed(self, pictures: UInt8[Tensor, "batch height width 3"]) -> Float[Tensor, "batch 3 _ _"]:
        rows = list(pictures.cpu().numpy())
        prepared = self.processor(rows, return_tensors="pt", input_data_format="channels_last")
        pixels: Tensor = prepared["pixel_values"]
        return pixels.to(pictures.device)

    def _scaled(self, pictures: UInt8[Tensor, "batch height width 3"]) -> Float[Tensor, "batch 3 _ _"]:
        return scaled(pictures, self.processor)


def scaled(
    pictures: UInt8[Tensor, "batch height width 3"], processor: Any
) -> Float[Tensor, "batch 3 height width"]:
    """The numbers of pictures as an image processor scales them: by a factor, means and deviations."""
    values = pictures.movedim(3, 1).float()
    if processor.do_rescale:
        values = values * processor.rescale_factor
    if processor.do_normalize:
        mean, std = (
            values.new_tensor(numbers).view(-1, 1, 1)
            for numbers in (processor.image_mean, processor.image_std)
        )
        values = (values - mean) / std
    return values


def require_preparation(folder: Path) -> None:
    """Return where a folder tells how pictures are prepared; DataError where it does not."""
    if not any((folder / name).is_file() for name in PREPARATIONS):
        raise DataError(
            f"{folder} does not say how pictures are prepared for its network: it has no {PREPARATIONS[0]}.",
            expected="the file that the image processor of transformers saves",
            remedy="copy it from where the network is from",
        )


def processor_of(folder: Path) -> Any:
    """The image processor of a folder; DataError where it has none, or a damaged one."""
    require_preparation(folder)
    with quiet_transformers() as library:
        try:
            return library.AutoImageProcessor.from_pretrained(folder, backend=BACKEND, **LOADED_FROM_HERE)
        except FAILURES as error:
            raise damaged(folder, "image processor", error) from error
