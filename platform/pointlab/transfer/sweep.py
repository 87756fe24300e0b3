"""A sweep over mixing coefficients: WiSE-FT and WiSE-FT-LP at every point, each batch read once for all.

WiSE-FT-LP (Zhang et al., "Robust Fine-tuning for Pre-trained 3D Point Cloud Models"): mix the backbones,
freeze the mixture, train a linear head on it again. WiSE-FT keeps the fine-tuned head instead: the head
is new, so there is no pretrained one to mix it with. Both are measured at every coefficient on validation
data; nothing here sees a test split.
"""

import copy
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

import torch
from pydantic import field_validator
from torch import Tensor, nn

from pointlab.backbones import Backbone
from pointlab.config import StrictModel
from pointlab.data.sample import PointBatch
from pointlab.evaluation import FeatureTable, classification_metrics, pooled_features
from pointlab.transfer.batch_norm import reestimate
from pointlab.transfer.interpolate import interpolate
from pointlab.transfer.probe import ProbeConfig, fit_probe, predict

Method = Literal["wise_ft", "wise_ft_lp"]
Batches = Callable[[], Iterable[PointBatch]]


class MixtureConfig(StrictModel):
    """Which mixtures are tried and how one is chosen."""

    coefficients: tuple[float, ...] = tuple(round(0.1 * step, 1) for step in range(11))
    """0 = pretrained, 1 = fine-tuned; the grid of the WiSE-FT paper."""
    batch_norm: Literal["reestimate", "interpolate", "fine_tuned"] = "reestimate"
    """Running statistics of a mixture: those of the target's training data; their own mixture, as in the
    reference code; or those of the fine-tuned end."""
    selection: Literal["mean", "target", "shifted"] = "mean"
    """Validation accuracy to maximise: the mean of target and shifted, or one of them."""

    @field_validator("coefficients")
    @classmethod
    def _in_range(cls, value: tuple[float, ...]) -> tuple[float, ...]:
        if not value or any(not 0 <= c <= 1 for c in value) or list(value) != sorted(set(value)):
            raise ValueError("coefficients must be distinct, ascending and within [0, 1]")
        return value


@dataclass(frozen=True)
class Mixture:
    """A classifier at one coefficient, with its validation accuracy by split."""

    coefficient: float
    method: Method
    backbone: Backbone
    head: nn.Module
    accuracy: dict[str, float]

    def score(self, selection: str) -> float:
        """What the stated rule maximises."""
        if selection == "mean":
            return sum(self.accuracy.values()) / len(self.accuracy)
        return self.accuracy[selection]


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
) -> list[Mixture]:
    """Both methods at every coefficient between the `ends`, the pretrained and the fine-tuned backbone.

    `head` is the fine-tuned one; `validation` maps "target" (and "shifted") to batches.
    """
    backbones = mix_backbones(*ends, mixture, device)
    if mixture.batch_norm == "reestimate":
        reestimate(backbones, train(), device)
    train_tables = pooled_features(backbones, train(), device)
    tables = {split: pooled_features(backbones, batches(), device) for split, batches in validation.items()}
    head = copy.deepcopy(head).cpu()
    found = []
    for row, (coefficient, backbone) in enumerate(zip(mixture.coefficients, backbones, strict=True)):
        at_point = {split: by_backbone[row] for split, by_backbone in tables.items()}
        probed = fit_probe(train_tables[row], at_point["target"], num_classes, probe)
        found.append(Mixture(coefficient, "wise_ft", backbone, head, _accuracy(head, at_point)))
        found.append(Mixture(coefficient, "wise_ft_lp", backbone, probed, _accuracy(probed, at_point)))
    return found


def mix_backbones(
    pretrained: Backbone, fine_tuned: Backbone, mixture: MixtureConfig, device: torch.device
) -> list[Backbone]:
    """A frozen backbone per coefficient, on `device`."""
    start, end = ({k: v.detach().cpu() for k, v in b.state_dict().items()} for b in (pretrained, fine_tuned))
    backbones = []
    for coefficient in mixture.coefficients:
        mixed: dict[str, Tensor] = interpolate(start, end, coefficient)
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
        accuracy = {f"{split}-validation/accuracy": value for split, value in mixture.accuracy.items()}
        rows.append({"coefficient": mixture.coefficient, "method": mixture.method, **accuracy})
    return rows


def _accuracy(head: nn.Module, tables: Mapping[str, FeatureTable]) -> dict[str, float]:
    return {
        split: classification_metrics(predict(head, table.features), table.labels)["accuracy"]
        for split, table in tables.items()
    }
