"""PPKT: points learn what a finished network says of the pixels that see them. No labels.

Liu et al., "Learning from 2D: Contrastive Pixel-to-Point Knowledge Transfer for 3D Pretraining", arXiv
2104.04687: InfoNCE between features of points and of pixels, which come from a frozen network of pictures by
a trained upsampling feature projection layer. What it leaves open (the number of pairs, the layer on the
points, normalisation) follows its re-implementation in SLidR (Sautier et al., CVPR 2022), see
docs/pretraining.md.
"""

from collections.abc import Iterable
from typing import Literal

import torch
from jaxtyping import Float, Int64
from pydantic import Field, PositiveInt, model_validator
from torch import Tensor, nn

from pointlab import distributed
from pointlab.backbones import Backbone
from pointlab.backbones.precision import wide
from pointlab.data.correspondence import UNSEEN
from pointlab.data.picture_crops import PictureCropConfig
from pointlab.data.sample import PointBatch
from pointlab.objectives.hypersphere import unit_length
from pointlab.objectives.info_nce import Contrast, paired_info_nce
from pointlab.objectives.pixels import PixelMaps, PixelProjection, Size
from pointlab.objectives.projector import ProjectorConfig, build_projector
from pointlab.paradigms.base import (
    Given,
    Paradigm,
    ParadigmSettings,
    StepOutput,
    require_provider,
    with_penalty,
)


class PpktConfig(ParadigmSettings):
    """What is compared with what; the network of pictures is the experiment's `image_teacher`."""

    kind: Literal["ppkt"] = "ppkt"
    temperature: float = Field(default=0.04, gt=0)  # the paper's
    num_pairs: PositiveInt = 4096
    """Pairs of a point and its pixel that are drawn from a micro-batch, all where there are fewer; SLidR's,
    as the paper gives no number."""
    width: PositiveInt = 128  # of the features that are compared, as in the paper
    direction: Literal["point_to_pixel", "pixel_to_point", "symmetric"] = "point_to_pixel"
    """Which of the two is the query, whose own partner is told from all others'; points in the paper.
    symmetric is the mean of both."""
    normalise: bool = True
    """Compare cosines, as SLidR does and as the paper's temperature suggests; else plain products."""
    projection: Literal["linear", "mlp"] = "linear"
    """On the points; the paper does not say which, SLidR's is one layer. mlp: two, with ReLU in between."""
    negatives: Literal["micro_batch", "all_workers"] = "micro_batch"
    """The pairs whose partners are the negatives: as in the paper, or those of all workers, too."""
    picture_augmentation: PictureCropConfig | None = None
    """null: pictures stay as they are, so that their maps are computed once and a step costs what it does
    without a teacher. Else they are cut and mirrored, with their pixels, and the teacher sees them anew in
    every step, as in the paper; at area [1, 1] and without flip as they are, where a table would be too
    large."""
    picture_size: tuple[PositiveInt, PositiveInt] | None = None
    """Height and width in pixels at which the teacher sees pictures: the larger, the finer its maps. null: as
    they are stored."""
    align_corners: bool = False
    """Where the cells of a map lie in its picture: they tile it. True: the outermost have their centres at
    its outermost pixels, as in SLidR."""

    @model_validator(mode="after")
    def _says_one_size(self) -> "PpktConfig":
        if self.picture_augmentation is not None and self.picture_augmentation.size is not None:
            raise ValueError(
                "picture_augmentation.size is set, and so may picture_size be: leave out the first, and set"
                f" picture_size to {list(self.picture_augmentation.size)}"
            )
        return self

    @property
    def picture_crop(self) -> PictureCropConfig | None:
        """What happens to the pictures of a batch and to the pixels of its points; None: nothing."""
        if self.picture_augmentation is not None:
            return self.picture_augmentation.model_copy(update={"size": self.picture_size})
        return None if self.picture_size is None else resized_to(self.picture_size)


def resized_to(size: Size) -> PictureCropConfig:
    """Pictures of this size that are shown whole."""
    return PictureCropConfig(size=size, area=(1, 1), aspect=(1, 1), flip=False)


class Ppkt(Paradigm):
    """A backbone with features for each point, projections of points and of pixels, and a frozen network.

    Every micro-batch counts by its clouds, whatever the number of its pairs, so workers are one that takes
    their micro-batches one after the other; with negatives of all workers they are one with the whole
    micro-batch as far as equally many pairs come from each cloud.
    """

    def __init__(self, config: PpktConfig, backbone: Backbone, given: Given) -> None:
        """Take over `backbone`; both projections are new. `given.providers` has the `image_teacher`.

        Raises ConfigError where that is missing.
        """
        super().__init__()
        self.config, self.backbone = config, backbone
        self.maps = require_provider(
            given,
            "image_teacher",
            PixelMaps,  # type: ignore[type-abstract]
            "maps of pictures",
        )
        self.point_projection = _point_projection(config, backbone.point_width)
        self.pixel_projection = PixelProjection(
            self.maps.width, config.width, align_corners=config.align_corners
        )
        self.inputs = ("pixels", *self.maps.inputs)
        self.picture_crop = config.picture_crop

    def frozen(self) -> Iterable[nn.Module]:
        """The network of pictures, where it is asked in every step."""
        return self.maps.frozen()

    def exported(self) -> dict[str, nn.Module]:
        """The backbone, and the projections into the space where points and pixels are compared."""
        projections = {name: getattr(self, name) for name in ("point_projection", "pixel_projection")}
        return {**super().exported(), **projections}

    def forward(self, batch: PointBatch) -> StepOutput:
        """InfoNCE of the drawn pairs.

        `num_pairs` is how many there were, `clamped` is 1 where they are fewer than there should be, and
        `seen` is the share of points that have a pixel. Without a pair the loss is zero.
        """
        assert batch.pixels is not None, "among the inputs"
        maps = self.maps(batch)
        is_seen = (batch.pixels[..., 0] > UNSEEN) & maps.is_there.unsqueeze(1)
        places = drawn(is_seen.flatten().nonzero().squeeze(1), self.config.num_pairs)
        said = self.backbone.point_features(batch)
        points = self.point_projection(said.values.flatten(0, 1).index_select(0, places))
        clouds, pixels = places // batch.pixels.shape[1], batch.pixels.flatten(0, 1).index_select(0, places)
        contrast = self._contrast(
            self._comparable(points), self._comparable(self.pixel_projection(maps, clouds, pixels))
        )
        metrics = {
            "loss": contrast.loss.detach(),
            "top_1": contrast.top_1,
            "num_pairs": contrast.loss.new_tensor(len(places)),
            "clamped": contrast.loss.new_tensor(len(places) < self.config.num_pairs),
            "seen": is_seen.sum() / batch.counts.sum(),
        }
        return StepOutput(with_penalty(contrast.loss, said), metrics)

    def _comparable(self, features: Float[Tensor, "pairs width"]) -> Float[Tensor, "pairs width"]:
        return unit_length(features) if self.config.normalise else wide(features)

    def _contrast(
        self, points: Float[Tensor, "pairs width"], pixels: Float[Tensor, "pairs width"]
    ) -> Contrast:
        """In the direction, or both, that the settings name."""
        both = {"point_to_pixel": (points, pixels), "pixel_to_point": (pixels, points)}
        found = [
            self._one_way(queries, keys)
            for direction, (queries, keys) in both.items()
            if self.config.direction in (direction, "symmetric")
        ]
        losses, hits = ([getattr(one, name) for one in found] for name in ("loss", "top_1"))
        return Contrast(torch.stack(losses).mean(), torch.stack(hits).mean())

    def _one_way(self, queries: Float[Tensor, "pairs width"], keys: Float[Tensor, "pairs width"]) -> Contrast:
        everyone, start = keys, 0
        # Validation batches are dealt out unevenly: an exchange would wait for workers that have none left.
        if self.training and self.config.negatives == "all_workers":
            everyone, start = distributed.gather_rows_with_gradient(keys)
        return paired_info_nce(queries, everyone, self.config.temperature, start)


def _point_projection(config: PpktConfig, num_features: int) -> nn.Module:
    if config.projection == "linear":
        return nn.Linear(num_features, config.width)
    return build_projector(ProjectorConfig(width=config.width, batch_norm=False), num_features)


def drawn(places: Int64[Tensor, " all"], most: int) -> Int64[Tensor, " drawn"]:
    """At most so many of these places without replacement, by torch's generator, in the order they had."""
    if len(places) <= most:
        return places
    # on the CPU, so that every device draws the same
    chosen = torch.randperm(len(places))[:most].sort().values
    return places[chosen.to(places.device)]
