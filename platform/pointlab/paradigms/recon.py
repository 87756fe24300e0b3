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
from pydantic import Field, field_validator
from torch import Tensor, nn

from pointlab.backbones import Backbone, BackboneConfig, ReconTransformer
from pointlab.backbones.precision import wide
from pointlab.backbones.recon import QueryName, ReconConfig
from pointlab.config import ADDED_LATER
from pointlab.data.picture_augmentation import PictureAugmentation
from pointlab.data.sample import PointBatch
from pointlab.errors import ConfigError
from pointlab.objectives.self_contrast import ClassProjection, projection, self_contrast
from pointlab.objectives.targets import Targets, TextKey
from pointlab.paradigms.base import Given, StepOutput, require_provider
from pointlab.paradigms.rebuilding import MaskedPatches, Rebuilding, RebuildingConfig

LOSS_ON: dict[QueryName, str] = {"class": "contrast", "image": "image", "text": "text"}
"""The loss on each query."""
TAUGHT: dict[QueryName, str] = {"image": "features of pictures", "text": "features of texts"}
"""The queries that learn what a teacher says, and of what."""


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
    text: Literal["captions", "class_names"] = "captions"
    """Which text a cloud has: its own caption, which needs no label, or the name of its class, which shows
    the labels to the network. The contrast takes clouds of one text for equal."""
    templates: Literal["plain", "recon"] = Field(default="plain", json_schema_extra=ADDED_LATER)
    """The sentences around that text, of which one is drawn in each step: plain is the text alone, as whole
    captions want it; recon are the paper's 60, around a few words for the class."""
    image_augmentation: PictureAugmentation | None = None
    """null: pictures stay as they are, so that their features are computed once and a step costs what it does
    without a teacher. Else they are varied, and seen by the teacher anew in every step, as in the paper,
    which varies them more."""

    @field_validator("image_augmentation")
    @classmethod
    def _varies_something(cls, augmentation: PictureAugmentation | None) -> PictureAugmentation | None:
        if augmentation is not None and augmentation.keeps_all:
            raise ValueError(
                "shift 0 without flip varies nothing, yet the teacher would run in every step: set"
                " image_augmentation to null, or one of them"
            )
        return augmentation

    @property
    def weights(self) -> dict[str, float]:
        """The weight of each loss."""
        return {loss: getattr(self, f"{loss}_weight") for loss in ("reconstruction", *LOSS_ON.values())}

    @property
    def text_key(self) -> TextKey:
        """What tells the text of a cloud in a batch."""
        return "captions" if self.text == "captions" else "labels"

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
        targets: dict[str, Targets] = {
            query: _targets(given, query) for query in TAUGHT if config.weights[query] > 0
        }
        for query, of_query in targets.items():
            self.add_module(f"{query}_projection", projection(backbone.width, of_query.width))
        if config.contrast_weight > 0:
            self.class_projection = ClassProjection(backbone.width)
        self.targets = nn.ModuleDict(targets)
        self._networks = [network for of_query in targets.values() for network in of_query.frozen()]
        self.inputs = _inputs(config, targets.values())

    def frozen(self) -> Iterable[nn.Module]:
        """The networks that targets ask in every step."""
        return self._networks

    def exported(self) -> dict[str, nn.Module]:
        """The backbone, what rebuilds hidden patches, and the projections of the queries that were asked."""
        children = self.named_children()
        return super().exported() | {name: part for name, part in children if name.endswith("_projection")}

    def forward(self, batch: PointBatch) -> StepOutput:
        """The weighted sum of the losses; the metrics are each by itself, and the shares of clouds that have
        a picture and a text."""
        patches, names = self.masked(batch), self.config.queries
        latent, found = self.backbone.encode_with_queries(
            patches.tokens, patches.visible.centres, stop_gradient=True, names=names
        )
        losses, metrics = {"reconstruction": self.reconstruction(latent, patches)}, {}
        queries: dict[str, Tensor] = dict(zip(names, found.unbind(1), strict=True))
        if self.config.contrast_weight > 0:
            losses["contrast"] = self._contrast(queries["class"], batch)
        for query, targets in self.targets.items():
            features, is_there = targets(batch)
            predicted = self.get_submodule(f"{query}_projection")(queries[query])
            losses[query] = smooth_l1_where_there(predicted, features, is_there)
            metrics[f"has_{query}"] = is_there.float().mean()
        total = torch.stack([loss * self.config.weights[name] for name, loss in losses.items()]).sum()
        return StepOutput(total, metrics | {name: loss.detach() for name, loss in losses.items()})

    def latent(self, patches: MaskedPatches) -> Float[Tensor, "batch visible width"]:
        """The visible tokens, encoded: queries move none of them, and none is asked."""
        places = patches.visible.centres
        return self.backbone.encode_with_queries(patches.tokens, places, stop_gradient=True, names=())[0]

    def _contrast(self, queries: Float[Tensor, "batch width"], batch: PointBatch) -> Float[Tensor, ""]:
        """Among the clouds of the micro-batch, as the released code has it: k workers are then one that takes
        k micro-batches."""
        groups = getattr(batch, self.config.text_key)
        groups = torch.full_like(batch.ids, -1) if groups is None else groups
        return self_contrast(self.class_projection(queries), groups, self.config.temperature)


def smooth_l1_where_there(
    predicted: Float[Tensor, "batch width"],
    features: Float[Tensor, "batch width"],
    is_there: Bool[Tensor, " batch"],
) -> Float[Tensor, ""]:
    """The sum of the smooth l1 differences where features are there, divided by the number of all entries.

    So the shares of a batch add up to the whole, whichever of its clouds lack something: gradients are
    weighted by the number of clouds.
    """
    difference = torch.where(is_there.unsqueeze(1), wide(predicted) - wide(features), 0.0)
    return F.smooth_l1_loss(difference, torch.zeros_like(difference))


def _targets(given: Given, query: QueryName) -> Targets:
    return require_provider(given, f"{query}_teacher", Targets, TAUGHT[query])  # type: ignore[type-abstract]


def _inputs(config: ReconParadigmConfig, targets: Iterable[Targets]) -> tuple[str, ...]:
    """What a batch must carry beside its points and labels, so that all losses can be told."""
    needed = {name for of_query in targets for name in of_query.inputs}
    if config.contrast_weight > 0 and config.text_key == "captions":
        needed.add("captions")
    return tuple(sorted(needed))
