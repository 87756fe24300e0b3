"""ReCon: queries learn what a picture and a text say of a cloud, while its hidden patches are rebuilt.

Qi et al., "Contrast with Reconstruct: Contrastive 3D Representation Learning Guided by Generative
Pretraining", ICML 2023. The queries read the patches on the side (`backbones/recon.py`): what is asked of
them does not move the patches.
"""

from collections.abc import Iterable
from typing import Literal

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from pydantic import Field
from torch import Tensor, nn

from pointlab.backbones import Backbone, BackboneConfig, ReconTransformer
from pointlab.backbones.precision import wide
from pointlab.backbones.recon import QueryName, ReconConfig
from pointlab.data.picture_augmentation import PictureAugmentation, varied
from pointlab.data.sample import PointBatch
from pointlab.errors import ConfigError
from pointlab.objectives.self_contrast import ClassProjection, projection, self_contrast
from pointlab.objectives.targets import FeatureTable, PictureNetwork, Targets, TextTable
from pointlab.paradigms.base import Given, StepOutput, require_provider
from pointlab.paradigms.rebuilding import Rebuilding, RebuildingConfig

LOSS_ON: dict[QueryName, str] = {"class": "contrast", "image": "image", "text": "text"}
"""The loss on each query."""


class ReconParadigmConfig(RebuildingConfig):
    """What is rebuilt, and what the queries learn; their teachers are the experiment's `image_teacher` and
    `text_teacher`. A modality is left out by the weight 0, so that with both at 0 clouds are all there is.

    The paper's sum has the weight 1 for all three.
    """

    kind: Literal["recon"] = "recon"
    reconstruction_weight: float = Field(default=1.0, gt=0)
    """Never 0: the losses on the queries train nothing of the patches, which would stay as they began."""
    image_weight: float = Field(default=1.0, ge=0)
    text_weight: float = Field(default=1.0, ge=0)
    contrast_weight: float = Field(default=0.0, ge=0)
    """Of the contrast of class queries, which the released configurations leave off."""
    temperature: float = Field(default=0.1, gt=0)
    """Of that contrast, as in the released code."""
    text: Literal["captions", "prompts"] = "captions"
    """captions: each cloud's own, whose classes need not be known; prompts: of the words for its class, as in
    the paper. The contrast takes clouds of one caption, or of one class, for equal."""
    image_augmentation: PictureAugmentation | None = None
    """null: pictures stay as they are, and their features are computed once. Else they are varied, and seen
    by the teacher anew in every step, as in the paper, which varies them more."""

    @property
    def weights(self) -> dict[str, float]:
        """The weight of each loss."""
        return {loss: getattr(self, f"{loss}_weight") for loss in ("reconstruction", *LOSS_ON.values())}

    @property
    def varies_pictures(self) -> bool:
        """Whether a picture of one sample differs from step to step, beside which of its pictures it is."""
        return self.image_augmentation is not None and not self.image_augmentation.keeps_all

    @property
    def queries(self) -> tuple[QueryName, ...]:
        """Those that some loss asks; all others stay as they began."""
        return tuple(query for query, loss in LOSS_ON.items() if self.weights[loss] > 0)

    def require_fitting(self, backbone: BackboneConfig) -> None:
        """ConfigError where no patch would be hidden, heads cannot share the width, or a query is missing."""
        super().require_fitting(backbone)
        assert isinstance(backbone, ReconConfig), "declared in compatibility.py"
        for query in self.queries:
            if query not in backbone.queries:
                loss = LOSS_ON[query]
                raise ConfigError(
                    f"paradigm.{loss}_weight is {self.weights[loss]}, and backbone.queries are"
                    f" {', '.join(backbone.queries)}.",
                    expected=f"the query {query} among them",
                    remedy=f"add it to backbone.queries, or set paradigm.{loss}_weight to 0",
                )


class Recon(Rebuilding):
    """ReCon's encoder, a decoder, and a projection from each query to the features of its teacher.

    Queries that no loss asks for are not computed, and have no projection.
    """

    config: ReconParadigmConfig
    backbone: ReconTransformer

    def __init__(self, config: ReconParadigmConfig, backbone: Backbone, given: Given) -> None:
        """Take over `backbone`; all others are new. `given.providers` has the teachers that weights need.

        Raises ConfigError as `require_fitting` does, and where a teacher is missing.
        """
        assert isinstance(backbone, ReconTransformer), "declared in compatibility.py"
        super().__init__(config, backbone)
        self.image_teacher, self.text_teacher = _image_teacher(config, given), _text_teacher(config, given)
        if self.image_teacher is not None:
            self.image_projection = projection(backbone.width, self.image_teacher.width)
        if self.text_teacher is not None:
            self.text_projection = projection(backbone.width, self.text_teacher.width)
        if config.contrast_weight > 0:
            self.class_projection = ClassProjection(backbone.width)
        self.inputs = _inputs(config, self.text_teacher)

    def frozen(self) -> Iterable[nn.Module]:
        """The network of pictures, where these are varied; tables have nothing to be trained or saved."""
        return (self.image_teacher,) if isinstance(self.image_teacher, PictureNetwork) else ()

    def exported(self) -> dict[str, nn.Module]:
        """The backbone, what rebuilds hidden patches, and the projections of the queries that were asked."""
        return {name: part for name, part in self.named_children() if not name.endswith("_teacher")}

    def forward(self, batch: PointBatch) -> StepOutput:
        """The weighted sum of the losses; the metrics are each by itself, and the shares of clouds that have
        a picture and a text."""
        patches, names = self.halved(batch), self.config.queries
        latent, queries = self.backbone.encode_with_queries(
            patches.tokens, patches.seen.centres, stop_gradient=True, names=names
        )
        losses, metrics = {"reconstruction": self.reconstruction(latent, patches)}, {}
        asked = dict(zip(names, queries.unbind(1), strict=True))
        if self.config.contrast_weight > 0:
            losses["contrast"] = self._contrast(asked["class"], batch)
        if self.image_teacher is not None:
            features, is_there = self._pictured(batch)
            said = self.image_projection(asked["image"])
            losses["image"] = smooth_l1_where_there(said, features, is_there)
            metrics["has_image"] = is_there.float().mean()
        if self.text_teacher is not None:
            features, is_there = self.text_teacher(batch)
            said = self.text_projection(asked["text"])
            losses["text"] = smooth_l1_where_there(said, features, is_there)
            metrics["has_text"] = is_there.float().mean()
        total = torch.stack([loss * self.config.weights[name] for name, loss in losses.items()]).sum()
        return StepOutput(total, metrics | {name: loss.detach() for name, loss in losses.items()})

    def _contrast(self, queries: Float[Tensor, "batch width"], batch: PointBatch) -> Float[Tensor, ""]:
        """Among the clouds of the micro-batch, as the released code has it: k workers are then one that takes
        k micro-batches."""
        groups = batch.captions if self.config.text == "captions" else batch.labels
        groups = torch.full_like(batch.ids, -1) if groups is None else groups
        return self_contrast(self.class_projection(queries), groups, self.config.temperature)

    def _pictured(self, batch: PointBatch) -> Targets:
        """Features of each cloud's picture, varied while training where the settings say so."""
        numbers = batch.picture_numbers
        assert numbers is not None, "among the inputs"
        if isinstance(self.image_teacher, FeatureTable):
            looked_up: Targets = self.image_teacher(numbers)
            return looked_up
        assert self.image_teacher is not None, "asked for where there is one"
        assert batch.pictures is not None, "among the inputs"
        pictures = batch.pictures
        if self.training and self.config.image_augmentation is not None:
            pictures = varied(pictures.movedim(3, 1), self.config.image_augmentation).movedim(1, 3)
        return self.image_teacher(pictures), numbers >= 0


def smooth_l1_where_there(
    said: Float[Tensor, "batch width"],
    features: Float[Tensor, "batch width"],
    is_there: Bool[Tensor, " batch"],
) -> Float[Tensor, ""]:
    """The sum of the smooth l1 differences where features are there, divided by the number of all entries.

    So the shares of a batch add up to the whole, whichever of its clouds lack something: gradients are
    weighted by the number of clouds.
    """
    difference = torch.where(is_there.unsqueeze(1), wide(said) - wide(features), 0.0)
    return F.smooth_l1_loss(difference, torch.zeros_like(difference))


def _image_teacher(config: ReconParadigmConfig, given: Given) -> FeatureTable | PictureNetwork | None:
    if config.image_weight == 0:
        return None
    if config.varies_pictures:
        return require_provider(given, "image_teacher", PictureNetwork, "a network of pictures")  # type: ignore[type-abstract]
    return require_provider(given, "image_teacher", FeatureTable, "features of pictures")


def _text_teacher(config: ReconParadigmConfig, given: Given) -> TextTable | None:
    if config.text_weight == 0:
        return None
    return require_provider(given, "text_teacher", TextTable, "features of texts")  # type: ignore[type-abstract]


def _inputs(config: ReconParadigmConfig, text_teacher: TextTable | None) -> tuple[str, ...]:
    """What a batch must carry beside its points, so that all losses can be told."""
    needed = set(text_teacher.inputs) if text_teacher is not None else set()
    if config.contrast_weight > 0 and config.text == "captions":
        needed.add("captions")
    if config.image_weight > 0:
        needed |= {"picture_numbers", "pictures"} if config.varies_pictures else {"picture_numbers"}
    return tuple(sorted(needed))
