"""A finished network that gives a map of each picture, a feature for every cell of a grid: frozen.

Pixels of pictures belong to points, so nothing is resized or cropped here: the numbers of a picture are
scaled as the folder's image processor scales them, and its size is as it comes.
"""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from pointlab.errors import DataError
from pointlab.objectives.pixels import MapNetwork
from pointlab.teachers.families import MAP_ENCODERS
from pointlab.teachers.folders import require_type
from pointlab.teachers.image_teacher import processor_of, scaled
from pointlab.teachers.loading import load_network
from pointlab.teachers.patches import require_whole

ONE_COLOUR = (40, 130, 220)
"""Of a picture that no resizing or cropping changes: red, green and blue differ."""


class ImageMaps(MapNetwork):
    """Pictures of any size to maps as the network gives them, not normalised; never in training mode.

    Of a ResNet the last map; of a ViT, a DINOv2 or a CLIP's picture tower the tokens of patches after the
    final norm, with position encodings interpolated where pictures have another size than in its training.
    """

    def __init__(self, folder: Path) -> None:
        """Load the network; DataError for a folder of another kind, or not whole, or one whose image
        processor does more to the numbers of a picture than to scale them."""
        super().__init__()
        encoder = MAP_ENCODERS[require_type(folder, MAP_ENCODERS)]
        self.processor = processor_of(folder)
        _require_scaling(folder, self.processor)
        network, _ = load_network(folder, encoder.network, encoder.options, spared="pooler.")
        self.network: Any = network.requires_grad_(False)
        self.width = encoder.width(network.config)
        self._patch_size: int = network.config.patch_size if encoder.has_patches else 1
        self._maps = encoder.maps
        self.eval()

    def train(self, mode: bool = True) -> "ImageMaps":  # noqa: ARG002
        """Itself, in eval mode."""
        super().train(False)
        return self

    @torch.no_grad()
    def forward(self, pictures: UInt8[Tensor, "batch _ _ 3"]) -> Float[Tensor, "batch channels rows columns"]:
        """Maps of these pictures, on the network's device; in float32, under autocast too.

        Raises ConfigError for pictures that do not divide into the network's patches.
        """
        self.require_size(pictures.shape[1], pictures.shape[2])
        device = next(self.network.parameters()).device
        with torch.autocast(device.type, enabled=False):
            maps: Tensor = self._maps(self.network, scaled(pictures.to(device), self.processor))
        return maps

    def require_size(self, height: int, width: int) -> None:
        """Return for a size that the network takes; ConfigError for others."""
        require_whole((height, width), self._patch_size)


def _require_scaling(folder: Path, processor: Any) -> None:
    """DataError for a processor that does more to colours, found by trying it on a picture of one.

    Not told from its settings: see `ImageTeacher`.
    """
    picture: UInt8[np.ndarray, "64 64 3"] = np.full((64, 64, 3), ONE_COLOUR, np.uint8)
    prepared = processor([picture], return_tensors="pt", input_data_format="channels_last")["pixel_values"]
    expected = scaled(torch.from_numpy(picture[None]), processor)[0, :, 0, 0]
    height, width = prepared.shape[2:]
    if not torch.allclose(prepared[0, :, height // 2, width // 2], expected, atol=1e-4):
        raise DataError(
            f"The image processor in {folder} does more to the colours of a picture than to scale them.",
            expected="a factor, and a mean and a deviation of each channel",
            remedy="choose a teacher with an ordinary preprocessor_config.json",
        )
