"""A sweep over mixing coefficients: WiSE-FT and WiSE-FT-LP at every point, each batch read once for all.

WiSE-FT-LP (Zhang et al., "Robust Fine-tuning for Pre-trained 3D Point Cloud Models"): mix the backbones,
freeze the mixture, train a linear head on it again. WiSE-FT keeps the fine-tuned head instead: the head
is new, so there is no pretrained one to mix it with. Both are measured at every coefficient on validation
data; nothing here sees a test split.
"""

import copy
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Annotated, Literal

import torch
from pydantic import Field, field_validator, model_validator
from torch import Tensor, nn

from pointlab.backbones import Backbone
from pointlab.config import ADDED_LATER, StrictModel
from pointlab.data.sample import PointBatch
from pointlab.evaluation import FeatureTable, classification_metrics, pooled_features
from pointlab.transfer.batch_norm import reestimate
from pointlab.transfer.by_depth import coefficients_by_depth
from pointlab.transfer.fisher import Information, fisher_coefficients
from pointlab.transfer.interpolate import Coefficient, interpolate
from pointlab.transfer.probe import ProbeConfig, fit_probes, predict

Method = Literal["wise_ft", "wise_ft_lp"]
Batches = Callable[[], Iterable[PointBatch]]
GRID = tuple(round(0.1 * step, 1) for step in range(11))
"""Of the WiSE-FT paper."""


class MixtureConfig(StrictModel):
    """Which mixtures are tried and how one is chosen."""

    coefficients: tuple[float, ...] = GRID
    """0 = pretrained, 1 = fine-tuned; each is tried."""
    by_depth: tuple[Annotated[float, Field(ge=0, le=1)], ...] | None = Field(
        default=None, min_length=2, max_length=5, json_schema_extra=ADDED_LATER
    )
    """Instead, those of the first stage, of the one that heads read, and evenly between: a single mixture. A
    search samples them; more than five it would hardly tell apart."""
    weighting: Literal["linear", "fisher"] = Field(default="linear", json_schema_extra=ADDED_LATER)
    """fisher: each weight is taken from the end whose answers depend on it more, as WiSE-FT's code can."""
    fisher_samples: int = Field(default=256, ge=1, json_schema_extra=ADDED_LATER)
    """Training clouds, drawn by the seed, of which the Fisher information is the mean; each takes a backward
    pass for every class, and a few hundred make the mean steady."""
    batch_norm: Literal["reestimate", "interpolate", "fine_tuned"] = "reestimate"
    """Running statistics of a mixture: those of the target's training data; their own mixture, as in the
    reference code; or those of the fine-tuned end."""
    selection: Literal["mean", "target", "shifted"] = "mean"
    """Validation accuracy to maximise: the mean of target and shifted, or one of them."""

    @property
    def points(self) -> tuple[float, ...]:
        """The coefficient of every mixture that is tried; by depth, their mean."""
        return self.coefficients if self.by_depth is None else (sum(self.by_depth) / len(self.by_depth),)

    @property
    def stamp(self) -> str:
        """What a table may compare a mixture with, beside its protocol."""
        by_depth = "" if self.by_depth is None else "/by-depth"
        return by_depth + ("/fisher" if self.weighting == "fisher" else "")

    @property
    def without_effect(self) -> frozenset[str]:
        """What only Fisher weights read."""
        return frozenset({"fisher_samples"} if self.weighting == "linear" else ())

    @model_validator(mode="after")
    def _has_one_kind_of_coefficients(self) -> "MixtureConfig":
        """ValueError where both are set: by value, as what is written out has every setting."""
        if self.by_depth is not None and self.coefficients != GRID:
            raise ValueError("coefficients and by_depth are both set: leave one of them out")
        return self

    @property
    def passes(self) -> int:
        """How often a sweep goes through the training clouds: for features, and before for statistics."""
        return 2 if self.batch_norm == "reestimate" else 1

    @field_validator("coefficients")
    @classmethod
    def _in_range(cls, value: tuple[float, ...]) -> tuple[float, ...]:
        if not value or any(not 0 <= c <= 1 for c in value) or list(value) != sorted(set(value)):
            raise ValueError("coefficients must be distinct, ascending and within [0, 1]")
        return value


@dataclass(frozen=True)
class Mixture:
    """A classifier at one coefficient, with its validation accuracy and mean cross-entropy by split."""

    coefficient: float
    method: Method
    backbone: Backbone
    head: nn.Module
    accuracy: dict[str, float]
    loss: dict[str, float]

    def score(self, selection: str) -> float:
        """What the stated rule maximises."""
        return score_of(self.accuracy, selection)


def sweep(
    ends: tuple[Backbone, Backbone],
    head: nn.Module,
    train: Batches,
    validation: Mapping[str, Batches],
    *,
    num_classes: int,
    mixture: MixtureConfig,
    probe: ProbeConfig,
    device: torch.device,
    information: tuple[Information, Information] | None = None,
) -> list[Mixture]:
    """Both methods at every coefficient between the `ends`, the pretrained and the fine-tuned backbone.

    `head` is the fine-tuned one; `validation` maps "target" (and "shifted") to batches; `information` is that
    of the ends, where it weighs them. Raises DataError if a cloud has no label.
    """
    backbones = mix_backbones(*ends, mixture, device, information)
    if mixture.batch_norm == "reestimate":
        reestimate(backbones, train(), device)
    train_tables = pooled_features(backbones, train(), device)
    tables = {split: pooled_features(backbones, batches(), device) for split, batches in validation.items()}
    probes = fit_probes(train_tables, tables["target"], num_classes, probe)
    head = copy.deepcopy(head).cpu()
    found = []
    for row, (coefficient, backbone) in enumerate(zip(mixture.points, backbones, strict=True)):
        at_point = {split: by_backbone[row] for split, by_backbone in tables.items()}
        layers: dict[Method, nn.Module] = {"wise_ft": head, "wise_ft_lp": probes[row]}
        for method, layer in layers.items():
            found.append(Mixture(coefficient, method, backbone, layer, *validation_figures(layer, at_point)))
    return found


def mix_backbones(
    pretrained: Backbone,
    fine_tuned: Backbone,
    mixture: MixtureConfig,
    device: torch.device,
    information: tuple[Information, Information] | None = None,
) -> list[Backbone]:
    """A frozen backbone per coefficient, on `device`."""
    start, end = ({k: v.detach().cpu() for k, v in b.state_dict().items()} for b in (pretrained, fine_tuned))
    backbones = []
    for coefficient in mixture.points:
        plain = dict.fromkeys(end, coefficient)
        if mixture.by_depth is not None:
            plain = coefficients_by_depth(fine_tuned, mixture.by_depth)
        weights: Mapping[str, Coefficient] = plain
        if information is not None:
            weights = fisher_coefficients(*information, plain)
        mixed: dict[str, Tensor] = interpolate(start, end, weights)
        if mixture.batch_norm == "fine_tuned":
            mixed |= {k: v for k, v in end.items() if k.rpartition(".")[2].startswith("running_")}
        backbone = copy.deepcopy(fine_tuned)
        backbone.load_state_dict(mixed)
        backbones.append(backbone.to(device).eval().requires_grad_(False))
    return backbones


def choose(mixtures: list[Mixture], method: Method, selection: str) -> Mixture:
    """The best mixture of `method` by the stated rule; among equals the largest coefficient."""
    candidates = [mixture for mixture in mixtures if mixture.method == method]
    return max(candidates, key=lambda mixture: (mixture.score(selection), mixture.coefficient))


def curve(mixtures: list[Mixture]) -> list[dict[str, float | str]]:
    """The sweep as rows of a table."""
    rows: list[dict[str, float | str]] = []
    for mixture in mixtures:
        figures = named_figures(mixture.accuracy, mixture.loss)
        rows.append({"coefficient": mixture.coefficient, "method": mixture.method, **figures})
    return rows


def score_of(accuracy: Mapping[str, float], selection: str) -> float:
    """What the rule of this name maximises, of accuracies by split."""
    return sum(accuracy.values()) / len(accuracy) if selection == "mean" else accuracy[selection]


def named_figures(accuracy: Mapping[str, float], loss: Mapping[str, float]) -> dict[str, float]:
    """Figures by split under the names that they have in a record."""
    by_name = {f"{split}-validation/accuracy": value for split, value in accuracy.items()}
    return by_name | {f"{split}-validation/loss": value for split, value in loss.items()}


def validation_figures(
    head: nn.Module, tables: Mapping[str, FeatureTable]
) -> tuple[dict[str, float], dict[str, float]]:
    """Accuracy and mean cross-entropy of a head, by split."""
    accuracy, loss = {}, {}
    for split, table in tables.items():
        table.require_labels("A sweep")
        logits = predict(head, table.features)
        accuracy[split] = classification_metrics(logits, table.labels)["accuracy"]
        loss[split] = float(nn.functional.cross_entropy(logits.double(), table.labels))
    return accuracy, loss
