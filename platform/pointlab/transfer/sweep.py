"""A sweep over mixing coefficients: WiSE-FT and WiSE-FT-LP at every point, each batch read once for all.

WiSE-FT-LP (Zhang et al., "Robust Fine-tuning for Pre-trained 3D Point Cloud Models"): mix the backbones,
freeze the mixture, train a linear head on it again. WiSE-FT keeps the fine-tuned head instead: the head
is new, so there is no pretrained one to mix it with. Both are measured at every coefficient on validation
data; nothing here sees a test split.
"""

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import torch
from pydantic import Field, field_validator, model_validator
from torch import Tensor, nn

from pointlab.backbones import Backbone
from pointlab.config import ADDED_LATER, StrictModel
from pointlab.evaluation import pooled_features
from pointlab.transfer.batch_norm import reestimate
from pointlab.transfer.by_depth import coefficients_by_depth
from pointlab.transfer.fisher import Information, fisher_coefficients
from pointlab.transfer.interpolate import Coefficient, interpolate
from pointlab.transfer.probe import ProbeConfig, fit_probes
from pointlab.transfer.showing import (
    Batches,
    Figures,
    Selection,
    Showing,
    named_figures,
    score_of,
)

Method = Literal["wise_ft", "wise_ft_lp"]
METHODS: tuple[Method, ...] = ("wise_ft", "wise_ft_lp")
"""In this order heads are kept at each coefficient: the fine-tuned one, and a new probe."""
GRID = tuple(round(0.1 * step, 1) for step in range(11))
"""Of the WiSE-FT paper."""


class MixtureConfig(StrictModel):
    """Which mixtures are tried and how one is chosen."""

    coefficients: tuple[float, ...] = GRID
    """0 = pretrained, 1 = fine-tuned; each is tried. null takes the grid of the paper."""
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
    selection: Selection = "mean"
    """Validation accuracy to maximise: that of the target, of the shifted set, of the target when corrupted
    (its mOA), or the mean of those that there are."""

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
            raise ValueError(
                "coefficients and by_depth are both set: leave one of them out, or set it to null"
            )
        return self

    @property
    def passes(self) -> int:
        """How often a sweep goes through the training clouds: for features, and before for statistics."""
        return 2 if self.batch_norm == "reestimate" else 1

    @field_validator("coefficients", mode="before")
    @classmethod
    def _all_for_null(cls, value: Any) -> Any:
        """null takes back what a file below has set."""
        return GRID if value is None else value

    @field_validator("coefficients")
    @classmethod
    def _in_range(cls, value: tuple[float, ...]) -> tuple[float, ...]:
        if not value or any(not 0 <= c <= 1 for c in value) or list(value) != sorted(set(value)):
            raise ValueError("coefficients must be distinct, ascending and within [0, 1]")
        return value


@dataclass(frozen=True)
class Mixture:
    """A classifier at one coefficient, with its validation figures by role."""

    coefficient: float
    method: Method
    backbone: Backbone
    head: nn.Module
    figures: dict[str, Figures]

    def score(self, selection: Selection) -> float:
        """What the stated rule maximises."""
        return score_of(self.figures, selection)


def sweep(
    ends: tuple[Backbone, Backbone],
    head: nn.Module,
    train: Batches,
    validation: Mapping[str, Showing],
    *,
    num_classes: int,
    mixture: MixtureConfig,
    probe: ProbeConfig,
    device: torch.device,
    information: tuple[Information, Information] | None = None,
) -> list[Mixture]:
    """Both methods at every coefficient between the `ends`, the pretrained and the fine-tuned backbone.

    `head` is the fine-tuned one; `validation` maps "target" and other roles to what they show; `information`
    is that of the ends, where it weighs them. Raises DataError if a cloud has no label.
    """
    backbones = mix_backbones(*ends, mixture, device, information)
    if mixture.batch_norm == "reestimate":
        reestimate(backbones, train(), device)
    train_tables = pooled_features(backbones, train(), device)
    (target,) = validation["target"].features(backbones, device)
    probes = fit_probes(train_tables, target, num_classes, probe)
    head = copy.deepcopy(head).cpu()
    heads = [(head, layer) for layer in probes]
    figures = {
        role: showing.figures(heads, [target] if role == "target" else showing.features(backbones, device))
        for role, showing in validation.items()
    }
    return [
        Mixture(
            coefficient,
            method,
            backbones[row],
            heads[row][place],
            {role: figures[role][row][place] for role in validation},
        )
        for row, coefficient in enumerate(mixture.points)
        for place, method in enumerate(METHODS)
    ]


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


def choose(mixtures: list[Mixture], method: Method, selection: Selection) -> Mixture:
    """The best mixture of `method` by the stated rule; among equals the largest coefficient."""
    candidates = [mixture for mixture in mixtures if mixture.method == method]
    return max(candidates, key=lambda mixture: (mixture.score(selection), mixture.coefficient))


def curve(mixtures: list[Mixture]) -> list[dict[str, float | str]]:
    """The sweep as rows of a table."""
    rows: list[dict[str, float | str]] = []
    for mixture in mixtures:
        figures = named_figures(mixture.figures)
        rows.append({"coefficient": mixture.coefficient, "method": mixture.method, **figures})
    return rows
