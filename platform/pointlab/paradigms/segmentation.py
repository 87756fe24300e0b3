"""Semantic segmentation: a head on the features of points, cross-entropy and Lovász-Softmax.

It is both supervised pretraining on scenes with a class for each point and, from a pretrained backbone, full
fine-tuning or a linear probe of it. The sum of the two losses is that of SLidR's fine-tuning (Sautier et al.,
CVPR 2022), in whose code PPKT was measured outdoors.
"""

from collections.abc import Mapping
from typing import Literal

from jaxtyping import Float, Int64
from pydantic import Field, PositiveInt, model_validator
from torch import Tensor, nn

from pointlab.backbones import Backbone
from pointlab.backbones.pointwise import Packing, PointwiseLayer, Rows
from pointlab.data.sample import PointBatch
from pointlab.errors import ConfigError
from pointlab.geometry import real_rows
from pointlab.objectives.confusion import ClassCounts
from pointlab.objectives.lovasz import UNLABELLED, lovasz_softmax
from pointlab.paradigms.base import Given, Paradigm, ParadigmSettings, StepOutput, with_penalty

HIDDEN_WIDTH, DROPOUT = 128, 0.5
"""Of the hidden layer of PointNet++'s head."""


class SegmentationConfig(ParadigmSettings):
    """Which head, and how its losses are weighed. A linear head refuses settings of a hidden layer."""

    kind: Literal["segmentation"] = "segmentation"
    head: Literal["linear", "mlp"] = "linear"
    """linear: one layer, as the last of a sparse U-Net; mlp: one hidden layer, as PointNet++ has it."""
    hidden_width: PositiveInt = HIDDEN_WIDTH
    """Of the mlp, as in PointNet++."""
    dropout: float = Field(default=DROPOUT, ge=0, lt=1)
    """After the hidden layer of the mlp, as in PointNet++."""
    lovasz_weight: float = Field(default=1.0, ge=0)
    """Of Lovász-Softmax beside cross-entropy; 1, as in SLidR's fine-tuning. 0 leaves it out."""
    label_smoothing: float = Field(default=0.0, ge=0, lt=1)
    """Of the cross-entropy; off, as in the papers on scenes."""

    @model_validator(mode="after")
    def _all_settings_count(self) -> "SegmentationConfig":
        """By value, as a written-out configuration has every setting, defaults included."""
        if self.head == "linear" and (self.hidden_width, self.dropout) != (HIDDEN_WIDTH, DROPOUT):
            raise ValueError(
                "head is linear, a layer without a hidden one and dropout: leave out hidden_width and"
                " dropout, or set head to mlp"
            )
        return self


class Segmentation(Paradigm):
    """A backbone and a head that names the class of every point; the label -1 is none, and counts nowhere.

    `is_probe` freezes the backbone: no gradients, eval mode (statistics of BatchNorm included), not saved.
    """

    inputs = ("point_labels",)
    names_points = True

    def __init__(
        self, config: SegmentationConfig, backbone: Backbone, given: Given, *, is_probe: bool = False
    ) -> None:
        """Take over `backbone`; the head is new. ConfigError for a set that names no classes of points."""
        super().__init__()
        if given.num_point_classes == 0:
            raise ConfigError(
                "The set names no classes of points.",
                expected="labels of points, such as those of rooms, s3dis or scannet",
                remedy="choose a set that has them",
            )
        self.config, self.backbone, self.is_probe = config, backbone, is_probe
        self.head = build_point_head(config, backbone.point_width, given.num_point_classes)

    def forward(self, batch: PointBatch) -> StepOutput:
        """The weighted sum of both losses, each of them, and the accuracy over the points with a label.

        In eval mode the counts of every class as well, which `summarise` makes figures of. A batch without
        any label has the loss 0 and gradients of 0.
        """
        assert batch.point_labels is not None, "asked for as an input"
        features = self.backbone.point_features(batch)
        packing = Packing.of(batch.points, batch.counts)
        logits = self.head(packing.pack(features.values)).float()
        labels = batch.point_labels[real_rows(batch.points, batch.counts)]
        cross_entropy = self._cross_entropy(logits, labels)
        loss, metrics = cross_entropy, {"cross_entropy": cross_entropy.detach()}
        if self.config.lovasz_weight > 0:
            lovasz = lovasz_softmax(logits, labels)
            loss = loss + self.config.lovasz_weight * lovasz
            metrics["lovasz"] = lovasz.detach()
        metrics["loss"] = loss.detach()
        metrics |= self._figures(logits.detach(), labels, len(batch))
        return StepOutput(with_penalty(loss, features), metrics)

    def _cross_entropy(
        self, logits: Float[Tensor, "rows classes"], labels: Int64[Tensor, " rows"]
    ) -> Float[Tensor, ""]:
        """The mean over the points with a label; 0 where there is none, and not 0 / 0."""
        total: Tensor = nn.functional.cross_entropy(
            logits,
            labels,
            ignore_index=UNLABELLED,
            label_smoothing=self.config.label_smoothing,
            reduction="sum",
        )
        return total / (labels != UNLABELLED).sum().clamp_min(1)

    def _figures(
        self, logits: Float[Tensor, "rows classes"], labels: Int64[Tensor, " rows"], size: int
    ) -> dict[str, Tensor]:
        counts = ClassCounts.of(logits, labels)
        if not self.training:
            return dict(counts.entries(size))
        return {"accuracy": (counts.right.sum() / counts.labelled.sum().clamp_min(1)).float()}

    def summarise(self, figures: Mapping[str, float]) -> dict[str, float]:
        """`miou`, `mean_class_accuracy` and `accuracy` of a whole split, in place of the counts."""
        counts, others = ClassCounts.taken_from(figures)
        return others | counts.figures()

    def score(self, figures: Mapping[str, float]) -> float:
        """The mean intersection over union."""
        return figures["miou"]

    def head_parameters(self) -> list[nn.Parameter]:
        """The head."""
        return list(self.head.parameters())

    def frozen(self) -> tuple[nn.Module, ...]:
        """The backbone of a probe."""
        return (self.backbone,) if self.is_probe else ()

    def exported(self) -> dict[str, nn.Module]:
        """Backbone and head."""
        return {"backbone": self.backbone, "head": self.head}


class PointHead(nn.Sequential):
    """Layers from the features of points to class scores."""

    def forward(self, rows: Rows) -> Rows:
        """Scores of the classes before any softmax, row by row."""
        for layer in self:
            rows = layer(rows)
        return rows


def build_point_head(config: SegmentationConfig, num_features: int, num_classes: int) -> PointHead:
    """The freshly initialised head that `config` describes."""
    if config.head == "linear":
        return PointHead(nn.Linear(num_features, num_classes))
    return PointHead(
        PointwiseLayer(num_features, config.hidden_width),
        nn.Dropout(config.dropout),
        nn.Linear(config.hidden_width, num_classes),
    )
