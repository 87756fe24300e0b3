"""What paradigms predict where it is not the points themselves: latents of a finished stage I, and what
finished networks say of pictures and texts.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Literal

import torch
from jaxtyping import Bool, Float, Int64, UInt8
from torch import Tensor, nn

from pointlab.backbones.patch_embedding import PatchEmbedding
from pointlab.backbones.patches import Patches
from pointlab.data.sample import PointBatch
from pointlab.objectives.autoencoder import Autoencoder
from pointlab.objectives.graphs import nearest_centres
from pointlab.objectives.prompting import ForeignTransformer

Targets = tuple[Float[Tensor, "batch width"], Bool[Tensor, " batch"]]
"""Features, and whether each of them is there; those that are not are zero."""


class Latents(nn.Module):
    """A finished stage I of ACT, frozen: a latent for each patch of whole clouds."""

    def __init__(
        self, embedding: PatchEmbedding, autoencoder: Autoencoder, foreign: ForeignTransformer
    ) -> None:
        """`embedding` also says how the patches that are asked for must have been made."""
        super().__init__()
        self.embedding, self.autoencoder, self.foreign = embedding, autoencoder, foreign

    @property
    def width(self) -> int:
        """Channels of a latent."""
        return self.autoencoder.width

    @torch.no_grad()
    def forward(
        self, patches: Patches, choice: Literal["likeliest", "hard"] = "likeliest"
    ) -> Float[Tensor, "batch groups width"]:
        """The latents; with hard choices each code is drawn at temperature 1, as in the released code."""
        centres, neighbours = patches.centres, nearest_centres(patches.centres)
        logits = self.autoencoder.logits(self.embedding.embed(patches), centres, neighbours)
        found: Tensor = self.autoencoder.latents(logits, centres, self.foreign, choice, neighbours=neighbours)
        return found


class PictureNetwork(nn.Module, ABC):
    """A finished network that says a vector of each picture, frozen: `teachers.ImageTeacher` is one.

    A paradigm that varies pictures holds it as an `image_teacher` among its `frozen()` modules.
    """

    width: int
    """Channels of a feature."""

    @abstractmethod
    def forward(self, pictures: UInt8[Tensor, "batch height width 3"]) -> Float[Tensor, "batch features"]:
        """Features of these pictures, without gradients."""


class FeatureTable(nn.Module):
    """What a finished network says of every picture of a set, looked up by the number of the picture.

    It has nothing to be learned or saved, so a paradigm need not list it as frozen.
    """

    features: Float[Tensor, "pictures width"]

    def __init__(self, features: Float[Tensor, "pictures width"]) -> None:
        """Row i is said of the picture with the number i in batches (`PointBatch.picture_numbers`)."""
        super().__init__()
        self.register_buffer("features", features, persistent=False)

    @property
    def width(self) -> int:
        """Channels of a feature."""
        return self.features.shape[1]

    def forward(self, numbers: Int64[Tensor, " batch"]) -> Targets:
        """Features of the pictures with these numbers; -1, the number of no picture, has none."""
        return _looked_up(self.features, numbers)


class TextTable(nn.Module, ABC):
    """What a finished network says of texts, each read once, looked up by what the clouds of a batch go by.

    It has nothing to be learned or saved. A paradigm does not list it as frozen: it is to know whether it is
    in training, as what is drawn there is not in validation.
    """

    inputs: tuple[str, ...] = ()
    """What a batch must carry for it."""
    features: Float[Tensor, "texts width"]

    def __init__(self, features: Float[Tensor, "texts width"]) -> None:
        """A row for each text."""
        super().__init__()
        self.register_buffer("features", features, persistent=False)

    @property
    def width(self) -> int:
        """Channels of a feature."""
        return self.features.shape[1]

    def forward(self, batch: PointBatch) -> Targets:
        """The feature of a text on each cloud, where there is one."""
        return _looked_up(self.features, self.rows_of(batch))

    @abstractmethod
    def rows_of(self, batch: PointBatch) -> Int64[Tensor, " batch"]:
        """The row of each cloud's text, -1 where there is none."""


class CaptionFeatures(TextTable):
    """By the hash of the cloud's own caption."""

    inputs = ("captions",)
    hashes: Int64[Tensor, " texts"]

    def __init__(self, hashes: Sequence[int], features: Float[Tensor, "texts width"]) -> None:
        """Row i is said of the caption with the hash `hashes[i]`; hashes ascend."""
        super().__init__(features)
        self.register_buffer("hashes", torch.tensor(hashes, dtype=torch.int64), persistent=False)

    def rows_of(self, batch: PointBatch) -> Int64[Tensor, " batch"]:
        """Where each caption is; -1 for a cloud without, and for a caption that is not known."""
        assert batch.captions is not None, "among the inputs"
        rows = torch.searchsorted(self.hashes, batch.captions).clamp_max(len(self.hashes) - 1)
        return torch.where(self.hashes[rows] == batch.captions, rows, -1)


class PromptFeatures(TextTable):
    """By the cloud's class: one of the prompts that name it, drawn by torch's generator in training, the
    first otherwise.
    """

    def __init__(self, features: Float[Tensor, "classes prompts width"]) -> None:
        """Equally many prompts of every class."""
        super().__init__(features.flatten(0, 1))
        self.num_prompts = features.shape[1]

    def rows_of(self, batch: PointBatch) -> Int64[Tensor, " batch"]:
        """A prompt of each cloud's class; -1 for a cloud without a label."""
        assert batch.labels is not None, "the loop's batches have labels, if only -1"
        labels = batch.labels
        drawn = torch.zeros_like(labels)
        if self.training:
            drawn = torch.randint(self.num_prompts, labels.shape, device=labels.device)
        return torch.where(labels >= 0, labels * self.num_prompts + drawn, -1)


def _looked_up(features: Float[Tensor, "rows width"], rows: Int64[Tensor, " batch"]) -> Targets:
    is_there = rows >= 0
    return features[rows.clamp_min(0)] * is_there.unsqueeze(1), is_there
