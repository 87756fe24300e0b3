"""Two towers in training: pictures and captions that belong together are to meet in one space.

CLIP: Radford et al., "Learning Transferable Visual Models From Natural Language Supervision", ICML 2021,
figure 3: symmetric InfoNCE with a learned temperature. Equal captions count once, see `info_nce_of_captions`.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from pointlab import distributed
from pointlab.data.picture_augmentation import PictureAugmentation, varied
from pointlab.data.sample import PointBatch
from pointlab.objectives.hypersphere import unit_length
from pointlab.paradigms import StepOutput
from pointlab.paradigms.classifying import is_right
from pointlab.teachers.base import Teacher
from pointlab.teachers.networks import build_two_towers
from pointlab.teachers.pictures import require_pictures, to_pixels
from pointlab.teachers.settings import ClipConfig
from pointlab.teachers.words import CaptionTable, train_tokenizer

LARGEST_SCALE = 100.0
"""The learned scale of cosines goes no higher, for stability (CLIP, section 2.5)."""
Features = Float[Tensor, "rows width"]


@dataclass(frozen=True)
class Pairs:
    """Unit features of pictures and of their captions, and the numbers that tell equal captions."""

    pictures: Features
    captions: Features
    readings: Int64[Tensor, " rows"]


class TwoTowers(Teacher):
    """A CLIP of the picture and the caption of each sample.

    With several workers, negatives come from all of them: given the same pixels, k workers train as one with
    the whole micro-batch, to rounding, and not as one that accumulates k. What augmentation draws is keyed by
    micro-batch, so it is as k workers draw it that pixels are varied.
    """

    inputs = ("pictures", "captions")

    def __init__(
        self,
        config: ClipConfig,
        augmentation: PictureAugmentation,
        read_captions: Callable[[], Mapping[int, str]],
        class_names: tuple[str, ...],
    ) -> None:
        """With new weights, from torch's generator, and a tokenizer trained on the captions, read by hash.

        Raises DataError where there are none.
        """
        captions = read_captions()
        tokenizer = train_tokenizer(captions.values(), config.num_words, config.max_words)
        ends = tokenizer.bos_token_id, tokenizer.eos_token_id
        super().__init__(build_two_towers(config, len(tokenizer), *ends), config.picture_size, augmentation)
        self.tokenizer = tokenizer
        self.captions = CaptionTable(captions, tokenizer)
        self.classes = CaptionTable(dict(enumerate(map(as_caption, class_names))), tokenizer)

    def forward(self, batch: PointBatch) -> StepOutput:
        """InfoNCE both ways; `top_1` is the share of pictures whose caption is nearest of all.

        In eval mode also the zero-shot `accuracy`: which class's name is nearest to a picture.
        """
        own = self._features(batch)
        # Validation batches are dealt out unevenly: an exchange would wait for workers that have none left.
        everyone, start = _gathered(own) if self.training else (own, 0)
        scale = self.network.logit_scale.exp()
        loss, top_1 = info_nce_of_captions(own, everyone, start, scale)
        metrics = {"loss": loss.detach(), "top_1": top_1, "scale": scale.detach()}
        if not self.training and batch.labels is not None and bool((batch.labels >= 0).all()):
            metrics["accuracy"] = is_right(self._class_scores(own.pictures), batch.labels).mean()
        return StepOutput(loss, metrics)

    @torch.no_grad()
    def after_step(self, step: int, num_steps: int) -> None:  # noqa: ARG002
        """Bring the scale back to its bound; bounded in `forward`, it would lose its gradient there."""
        self.network.logit_scale.clamp_(max=math.log(LARGEST_SCALE))

    def _features(self, batch: PointBatch) -> Pairs:
        tokens, mask, readings = self.captions(batch.captions)
        pixels = to_pixels(require_pictures(batch), self.picture_size)
        if self.training:
            pixels = varied(pixels, self.augmentation)
        pictures = self.network.get_image_features(pixel_values=pixels).pooler_output
        return Pairs(unit_length(pictures), self._text_features(tokens, mask), readings)

    def _text_features(
        self, tokens: Int64[Tensor, "rows words"], mask: Int64[Tensor, "rows words"]
    ) -> Features:
        return unit_length(self.network.get_text_features(tokens, attention_mask=mask).pooler_output)

    def _class_scores(self, pictures: Features) -> Float[Tensor, "rows classes"]:
        return pictures @ self._text_features(self.classes.tokens, self.classes.mask).T


def as_caption(class_name: str) -> str:
    """What a class's name is compared as: "a chair", "an apple"."""
    return f"{'an' if class_name[:1].lower() in 'aeiou' else 'a'} {class_name.replace('_', ' ')}"


def info_nce_of_captions(
    own: Pairs, everyone: Pairs, start: int, scale: Float[Tensor, ""]
) -> tuple[Float[Tensor, ""], Float[Tensor, ""]]:
    """Mean loss and top 1 of `own`, both ways; its pairs are the rows of `everyone` from `start` on.

    Where others have the same caption as a row, as the tokenizer reads it, they are no negatives of it and
    left out of its softmax, both ways: a batch with equal captions has fewer negatives, and no wrong ones.
    With all features equal and captions distinct, the loss is log(rows).
    """
    itself = start + torch.arange(len(own.readings), device=own.readings.device)
    is_same = own.readings.unsqueeze(1) == everyone.readings
    is_left_out = is_same.scatter(1, itself.unsqueeze(1), False)
    to_captions = _scores(own.pictures, everyone.captions, scale, is_left_out)
    to_pictures = _scores(own.captions, everyone.pictures, scale, is_left_out)
    loss = (F.cross_entropy(to_captions, itself) + F.cross_entropy(to_pictures, itself)) / 2
    return loss, is_right(to_captions, itself).mean()


def _scores(
    queries: Features,
    keys: Float[Tensor, "keys width"],
    scale: Float[Tensor, ""],
    is_left_out: Bool[Tensor, "rows keys"],
) -> Float[Tensor, "rows keys"]:
    """Cosines times `scale` in float32, under autocast too: see `objectives/info_nce.py`."""
    with torch.autocast(queries.device.type, enabled=False):
        scores = scale.float() * (queries.float() @ keys.float().T)
    return scores.masked_fill(is_left_out, -math.inf)


def _gathered(own: Pairs) -> tuple[Pairs, int]:
    """The pairs of all workers, and the place of this worker's first."""
    pictures, start = distributed.gather_rows_with_gradient(own.pictures)
    captions, _ = distributed.gather_rows_with_gradient(own.captions)
    readings, _ = distributed.gather_rows_with_gradient(own.readings)
    return Pairs(pictures, captions, readings), start
