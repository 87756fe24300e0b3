"""Global contrast: two augmented views of a cloud are known to be one among all others. No labels.

SimCLR (Chen et al., "A Simple Framework for Contrastive Learning of Visual Representations", ICML 2020), or
with `momentum` MoCo (He et al., "Momentum Contrast for Unsupervised Visual Representation Learning", CVPR
2020; the projector is that of its second version).
"""

from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from jaxtyping import Float
from pydantic import Field, model_validator
from torch import Tensor

from pointlab import distributed
from pointlab.backbones import Backbone, Features
from pointlab.data.sample import PointBatch
from pointlab.errors import ConfigError
from pointlab.objectives.hypersphere import alignment, uniformity, unit_length
from pointlab.objectives.info_nce import Contrast, nt_xent, paired_info_nce, queue_info_nce
from pointlab.objectives.momentum import KeyQueue, MomentumConfig, TrailingEncoder
from pointlab.objectives.projector import ProjectorConfig, build_projector
from pointlab.paradigms.base import Given, Paradigm, ParadigmSettings, StepOutput, with_penalty


class ContrastiveConfig(ParadigmSettings):
    """InfoNCE between two views of each cloud; what makes them differ is the experiment's augmentation."""

    num_views: ClassVar[int] = 2
    kind: Literal["contrastive"] = "contrastive"
    temperature: float = Field(default=0.1, gt=0)
    """SimCLR's best on ImageNet of 0.05, 0.1, 0.5 and 1; MoCo has 0.07, its second version 0.2."""
    projector: ProjectorConfig = ProjectorConfig()
    negatives: Literal["all_workers", "micro_batch"] = "all_workers"
    """all_workers, as in SimCLR: k workers train as one with the whole micro-batch. micro_batch: as one that
    accumulates k micro-batches, with a k-th of the negatives."""
    momentum: MomentumConfig | None = None
    """MoCo: keys come from an encoder that trails the trained one, and negatives are the keys of earlier
    steps, many even at small batches. null: SimCLR, with both views through the trained encoder."""

    @model_validator(mode="after")
    def _a_queue_is_of_all_workers(self) -> "ContrastiveConfig":
        if self.momentum is not None and self.negatives == "micro_batch":
            raise ValueError(
                "negatives is micro_batch, but with momentum they are the keys of earlier steps:"
                " leave negatives out, or set momentum to null"
            )
        return self


def build_contrastive(config: ContrastiveConfig, backbone: Backbone, given: Given) -> "Contrastive":
    """SimCLR, or MoCo where there is `momentum`."""
    if config.momentum is None:
        return Contrastive(config, backbone, given)
    return MomentumContrastive(config, config.momentum, backbone, given)


@dataclass(frozen=True)
class Comparison:
    """A contrast, the unit features of each sample's two views, and what the trained backbone said."""

    contrast: Contrast
    first: Float[Tensor, "batch width"]
    second: Float[Tensor, "batch width"]
    features: Features


class Contrastive(Paradigm):
    """SimCLR: a backbone, and a projector over its pooled feature, which is dropped afterwards.

    Both views go through the backbone together, so that BatchNorm sees them as one batch, as in the paper.
    """

    num_views = ContrastiveConfig.num_views

    def __init__(self, config: ContrastiveConfig, backbone: Backbone, given: Given) -> None:  # noqa: ARG002
        """Take over `backbone`; the projector is new."""
        super().__init__()
        self.backbone = backbone
        self.projector = build_projector(config.projector, backbone.num_features)
        self.temperature, self.negatives = config.temperature, config.negatives

    def forward(self, batch: PointBatch) -> StepOutput:
        """InfoNCE between the views; `top_1` is the share of queries whose positive is nearest of all."""
        compared = self.compare(batch)
        metrics = {
            "loss": compared.contrast.loss.detach(),
            "top_1": compared.contrast.top_1,
            "alignment": alignment(compared.first, compared.second),
            "uniformity": uniformity(compared.first),
        }
        return StepOutput(with_penalty(compared.contrast.loss, compared.features), metrics)

    def compare(self, batch: PointBatch) -> Comparison:
        """Every view against all others: of all workers while training, where the settings say so."""
        features: Features = self.backbone(_joined(batch))
        first, second = unit_length(self.projector(features.pooled)).chunk(2)
        own = torch.stack([first, second], dim=1)
        everyone, start = own, 0
        # Validation batches are dealt out unevenly: an exchange would wait for workers that have none left.
        if self.training and self.negatives == "all_workers":
            everyone, start = distributed.gather_rows_with_gradient(own)
        return Comparison(nt_xent(own, everyone, start, self.temperature), first, second, features)


class MomentumContrastive(Contrastive):
    """MoCo: the first view of a sample asks for the key of its second among the keys of earlier steps.

    Keys come from copies of backbone and projector that follow after every step (`objectives/momentum.py`,
    which also says what stands in for MoCo's shuffling). The queue is the same on all workers, and losses
    exchange nothing: k workers equal one with the whole micro-batch, and one that accumulates k.
    """

    def __init__(
        self, config: ContrastiveConfig, momentum: MomentumConfig, backbone: Backbone, given: Given
    ) -> None:
        """Take over `backbone`; projector, key encoder and queue are new.

        Raises ConfigError for a queue of more keys than half the training clouds.
        """
        super().__init__(config, backbone, given)
        _require_new_negatives(momentum.queue_size, given)
        self.decay = momentum.decay
        self.trailing = TrailingEncoder(backbone, self.projector)
        self.queue = KeyQueue(momentum.queue_size, config.projector.width)

    def compare(self, batch: PointBatch) -> Comparison:
        """First views against the queue; in validation, which may not change it, against their own batch."""
        features: Features = self.backbone(batch)
        queries = unit_length(self.projector(features.pooled))
        keys = self._keys(batch.views[0])
        if self.training:
            self.queue.note(keys)
            contrast = queue_info_nce(queries, keys, self.queue.keys, self.temperature)
        else:
            contrast = paired_info_nce(queries, keys, self.temperature)
        return Comparison(contrast, queries, keys, features)

    @torch.no_grad()
    def _keys(self, view: PointBatch) -> Float[Tensor, "batch width"]:
        backbone, projector = self.trailing.copies
        return unit_length(projector(backbone(view).pooled))

    def after_step(self, step: int, num_steps: int) -> None:  # noqa: ARG002
        """The key encoder follows the weights of the step, and the keys of the step enter the queue."""
        self.trailing.follow(self.decay, self.backbone, self.projector)
        self.queue.close_step()


def _require_new_negatives(queue_size: int, given: Given) -> None:
    """Refuse a queue that often holds an earlier key of the very sample that asks, as a negative.

    In shuffled epochs, one of half the set does for one query in eight, one of the whole set for every other.
    """
    if given.num_rows is None or queue_size <= (most := max(1, given.num_rows // 2)):
        return
    raise ConfigError(
        f"paradigm.momentum.queue_size is {queue_size}, and there are {given.num_rows} training clouds.",
        expected=f"at most half of them, {most}: of more, keys of a sample are often its negatives",
        remedy=f"set paradigm.momentum.queue_size to {most} or less",
    )


def _joined(batch: PointBatch) -> PointBatch:
    """A batch of all views, those of the first kind first."""
    views = (batch, *batch.views)
    return PointBatch(
        points=torch.cat([view.points for view in views]),
        counts=torch.cat([view.counts for view in views]),
        ids=torch.cat([view.ids for view in views]),
    )
