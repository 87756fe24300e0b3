"""What paradigms predict where it is not the points themselves: latents of a finished stage I, and what
finished networks say of pictures and texts.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from typing import Literal

import torch
from jaxtyping import Bool, Float, Int64, UInt8
from torch import Tensor, nn

from pointlab.backbones.patch_embedding import PatchEmbedding
from pointlab.backbones.patches import Patches
from pointlab.data.picture_augmentation import PictureAugmentation, varied
from pointlab.data.sample import PointBatch
from pointlab.objectives.autoencoder import Autoencoder
from pointlab.objectives.graphs import nearest_centres
from pointlab.objectives.prompting import ForeignTransformer

FeaturesThere = tuple[Float[Tensor, "batch width"], Bool[Tensor, " batch"]]
"""Features, and whether each of them is to be learned from; of those that are not, the values are any."""
TextKey = Literal["captions", "labels"]
"""The field of a batch that says which text a cloud has."""


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
    """A finished network that says a vector of each picture, frozen: `teachers.ImageTeacher` is one."""

    width: int
    """Channels of a feature."""

    @abstractmethod
    def forward(self, pictures: UInt8[Tensor, "batch height width 3"]) -> Float[Tensor, "batch features"]:
        """Features of these pictures, without gradients."""


class Targets(nn.Module, ABC):
    """What a finished network says of something that clouds have: a feature of each that has it.

    It is part of a paradigm, and so knows whether it is in training: what is drawn there is settled in
    validation. Only its `frozen` networks have weights, and nothing of it is saved.
    """

    inputs: tuple[str, ...] = ()
    """What a batch must carry for it."""

    @property
    @abstractmethod
    def width(self) -> int:
        """Channels of a feature."""

    @abstractmethod
    def forward(self, batch: PointBatch) -> FeaturesThere:
        """A feature for each cloud, and whether the cloud has what it is said of."""

    def frozen(self) -> Iterable[nn.Module]:
        """The networks that are asked in every step."""
        return ()


class VariedPictures(Targets):
    """Of each cloud's picture, varied anew in every step of training and seen as it is otherwise."""

    inputs = ("picture_numbers", "pictures")

    def __init__(self, network: PictureNetwork, augmentation: PictureAugmentation) -> None:
        """What `network` says of pictures that `augmentation` varies by torch's generator."""
        super().__init__()
        self.network, self.augmentation = network, augmentation

    @property
    def width(self) -> int:
        """Channels of a feature."""
        return self.network.width

    def frozen(self) -> Iterable[nn.Module]:
        """The one network."""
        return (self.network,)

    def forward(self, batch: PointBatch) -> FeaturesThere:
        """Features of the batch's pictures; a cloud without one has a black one, which does not count."""
        assert batch.pictures is not None, "among the inputs"
        assert batch.picture_numbers is not None, "among the inputs"
        pictures = batch.pictures
        if self.training:
            pictures = varied(pictures.movedim(3, 1), self.augmentation).movedim(1, 3)
        return self.network(pictures), batch.picture_numbers >= 0


class KnownFeatures(Targets):
    """Looked up in a table of features that were computed before."""

    features: Float[Tensor, "rows width"]

    def __init__(self, features: Float[Tensor, "rows width"]) -> None:
        """A row for each thing that something is said of."""
        super().__init__()
        self.register_buffer("features", features, persistent=False)

    def __deepcopy__(self, memo: dict[int, object]) -> "KnownFeatures":
        """Itself: a copy of a paradigm shares the table, which may be large and never changes."""
        return self

    @property
    def width(self) -> int:
        """Channels of a feature."""
        return self.features.shape[1]

    def forward(self, batch: PointBatch) -> FeaturesThere:
        """The rows of the batch's clouds; zeros where there is none."""
        rows = self.rows_of(batch)
        is_there = rows >= 0
        return self.features[rows.clamp_min(0)] * is_there.unsqueeze(1), is_there

    @abstractmethod
    def rows_of(self, batch: PointBatch) -> Int64[Tensor, " batch"]:
        """The row of each cloud, -1 where it has none."""


class PictureFeatures(KnownFeatures):
    """Row i is said of the picture with the number i (`PointBatch.picture_numbers`)."""

    inputs = ("picture_numbers",)

    def rows_of(self, batch: PointBatch) -> Int64[Tensor, " batch"]:
        """The numbers of the pictures; that of no picture is -1."""
        assert batch.picture_numbers is not None, "among the inputs"
        return batch.picture_numbers


class TextFeatures(KnownFeatures):
    """By the cloud's caption or class: one of the sentences on it, drawn by torch's generator in training,
    the first otherwise.
    """

    keys: Int64[Tensor, " texts"]

    def __init__(
        self, of: TextKey, keys: Sequence[int], features: Float[Tensor, "texts sentences width"]
    ) -> None:
        """Equally many sentences on each text; `keys`, which ascend, are the texts' hashes or labels."""
        super().__init__(features.flatten(0, 1))
        self.of, self.num_sentences = of, features.shape[1]
        self.inputs = ("captions",) if of == "captions" else ()  # labels are in every batch
        self.register_buffer("keys", torch.tensor(keys, dtype=torch.int64), persistent=False)

    def rows_of(self, batch: PointBatch) -> Int64[Tensor, " batch"]:
        """A sentence on each cloud's text; -1 for a cloud without, and for a text that is not known."""
        wanted = batch.captions if self.of == "captions" else batch.labels
        assert wanted is not None, "among the inputs, or a label, if only -1"
        texts = torch.searchsorted(self.keys, wanted).clamp_max(len(self.keys) - 1)
        rows = texts * self.num_sentences + self._drawn(texts)
        return torch.where(self.keys[texts] == wanted, rows, -1)

    def _drawn(self, texts: Int64[Tensor, " batch"]) -> Int64[Tensor, " batch"]:
        if self.training and self.num_sentences > 1:
            return torch.randint(self.num_sentences, texts.shape, device=texts.device)
        return torch.zeros_like(texts)
