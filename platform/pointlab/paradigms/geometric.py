"""Geometric regularisation: labels, and the normals of the surface from the features of chosen stages.

Inspired by Hadgi, Li and Ovsjanikov, "To Supervise or Not to Supervise: Understanding and Addressing the Key
Challenges of Point Cloud Transfer Learning", ECCV 2024, who predict normals from early layers in supervised
pretraining. Their stages, heads, loss and weight are not known to us: these are our own.
"""

import math
from collections.abc import Mapping
from typing import Literal

import torch
from jaxtyping import Float
from pydantic import Field
from torch import Tensor, nn

from pointlab.backbones import Backbone, Features
from pointlab.data.sample import PointBatch
from pointlab.errors import ConfigError
from pointlab.geometry import gather_points, nearest_neighbours
from pointlab.paradigms.base import Given, StepOutput, require_labels, with_penalty
from pointlab.paradigms.classifying import Classifying, ClassifyingConfig, is_right


class GeometricConfig(ClassifyingConfig):
    """Cross-entropy on class labels, and the prediction of normals at some stages.

    Clouds are not mixed here: where two surfaces meet, a neighbourhood has no normal.
    """

    kind: Literal["geometric"] = "geometric"
    normal_weight: float = Field(default=3.0, ge=0)
    """Weight of the normal loss, the mean over its stages, so that it means the same on every backbone; of
    0.3 and 3 the one that changed features, and helped if any did (docs/transfer.md)."""
    stages: Literal["first", "first_half", "all"] | tuple[str, ...] = "first_half"
    """Names of stages, or which of those whose tokens have places; the paper regularises early layers."""
    orientation: Literal["free", "oriented"] = "free"
    """free: 1 - |cos|, as the sign of estimated normals is a convention; oriented: 1 - cos."""


class Geometric(Classifying):
    """A classifier with a linear layer to a normal at each chosen stage; these layers are dropped at the end.

    The target of a token is the normal of the point nearest to it: at a stage of points, the point's own.
    """

    inputs = ("normals",)

    def __init__(self, config: GeometricConfig, backbone: Backbone, given: Given) -> None:
        """Take over `backbone`; the heads are new.

        Raises ConfigError for stages without places, and for normals whose orientation means nothing.
        """
        super().__init__(config, backbone, given)
        if config.orientation == "oriented" and given.has_estimated_normals:
            raise ConfigError(
                "paradigm.orientation is 'oriented', but normals of the set are estimated: their sign is a"
                " convention.",
                remedy="set it to free, or take a set with normals of its own",
            )
        self.config = config
        self.normal_heads = nn.ModuleDict(
            {
                stage: nn.Linear(backbone.width_of(stage), 3)
                for stage in chosen_stages(config.stages, backbone)
            }
        )

    def forward(self, batch: PointBatch) -> StepOutput:
        """Both losses, the accuracy, and how far predicted normals are off; DataError without labels."""
        labels, last = require_labels(batch), self.backbone.pooled_stage
        found = self.backbone.intermediates(batch, [*self.normal_heads, last])
        logits = self.head(found[last].pooled)
        targets_of = self._targets(batch, found)
        missed: list[Tensor] = []
        metrics: dict[str, Tensor] = {}
        for stage, head in self.normal_heads.items():
            predicted, targets = head(found[stage].tokens), targets_of[stage]
            cosines = cosines_of(predicted, targets, self.config.orientation)
            missed.append(mean_of_known(1 - cosines, targets))
            degrees = cosines.detach().clamp(-1, 1).acos() * (180 / math.pi)
            metrics[f"normal_error_{stage}"] = mean_of_known(degrees, targets)
        normal_loss = torch.stack(missed).mean()
        loss = self.cross_entropy(logits, labels) + self.config.normal_weight * normal_loss
        metrics |= {"loss": loss.detach(), "normal_loss": normal_loss.detach()}
        metrics["accuracy"] = is_right(logits, labels).mean()
        return StepOutput(with_penalty(loss, found[last]), metrics)

    def _targets(self, batch: PointBatch, found: Mapping[str, Features]) -> dict[str, Tensor]:
        """The normal that belongs to each token of each stage, [batch, tokens, 3]; zero where none is known.

        Padded rows have none. Stages whose tokens lie at the same places, as those of transformers do, share
        one search.
        """
        assert batch.normals is not None, "they are among the inputs"
        at_places: dict[int, Tensor] = {}
        targets: dict[str, Tensor] = {}
        for stage in self.normal_heads:
            positions = found[stage].positions
            if stage in self.backbone.point_stages:
                targets[stage] = batch.normals
                continue
            if id(positions) not in at_places:
                _, rows = nearest_neighbours(positions, batch.points, 1, batch.counts)
                at_places[id(positions)] = gather_points(batch.normals, rows.squeeze(2))
            targets[stage] = at_places[id(positions)]
        return targets


def chosen_stages(chosen: str | tuple[str, ...], backbone: Backbone) -> tuple[str, ...]:
    """The stages of `backbone` that a `stages` setting means; ConfigError where tokens have no places."""
    local = backbone.local_stages
    if isinstance(chosen, str):
        num_chosen = {"first": 1, "first_half": math.ceil(len(local) / 2), "all": len(local)}
        return local[: num_chosen[chosen]]
    if not chosen or not set(chosen) <= set(local) or len(set(chosen)) < len(chosen):
        raise ConfigError(
            f"paradigm.stages is {list(chosen)}.",
            expected=f"first, first_half, all, or some of {', '.join(local)}, each once: the stages of this"
            f" {type(backbone).__name__} whose features belong to places, as normals do",
        )
    return chosen


def cosines_of(
    predicted: Float[Tensor, "batch tokens 3"],
    targets: Float[Tensor, "batch tokens 3"],
    orientation: Literal["free", "oriented"],
) -> Float[Tensor, "batch tokens"]:
    """Cosine of the angle between each prediction and its unit normal, of the smaller one if it is free."""
    cosines = (nn.functional.normalize(predicted.float(), dim=2) * targets).sum(2)
    return cosines.abs() if orientation == "free" else cosines


def mean_of_known(
    values: Float[Tensor, "batch tokens"], normals: Float[Tensor, "batch tokens 3"]
) -> Float[Tensor, ""]:
    """The mean over clouds of each one's mean over tokens with a normal; length 0 means that it has none.

    Every cloud counts alike, so that shares of a batch add up to the whole.
    """
    is_known = (normals != 0).any(2).to(values.dtype)
    return ((values * is_known).sum(1) / is_known.sum(1).clamp_min(1)).mean()
