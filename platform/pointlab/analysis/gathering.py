"""What is gathered of one subject while the data goes by: one forward pass of a batch feeds every measure."""

from dataclasses import dataclass, field

import torch
from torch import Tensor

from pointlab.analysis.gradients import GradientNorms
from pointlab.analysis.normals import NormalProbe, tokens_with_normals
from pointlab.analysis.settings import AnalysisConfig
from pointlab.analysis.subject import Subject
from pointlab.backbones import Features
from pointlab.data.sample import PointBatch
from pointlab.errors import DataError
from pointlab.evaluation.reading import pool


@dataclass
class Seen:
    """Labels and ids of the clouds that went by, in their order; shared by all subjects."""

    label_parts: list[Tensor] = field(default_factory=list)
    id_parts: list[Tensor] = field(default_factory=list)

    def add(self, batch: PointBatch) -> None:
        """Note a batch; DataError where a cloud has no label."""
        if batch.labels is None or bool((batch.labels < 0).any()):
            raise DataError(
                "The analysis met a cloud without a label.",
                expected="labels, which gradients, probes and drawings need",
                remedy="choose a labelled set as data",
            )
        self.label_parts.append(batch.labels.cpu())
        self.id_parts.append(batch.ids.cpu())

    def __len__(self) -> int:
        return sum(map(len, self.id_parts))

    @property
    def labels(self) -> Tensor:
        """All labels so far."""
        return torch.cat(self.label_parts)

    @property
    def ids(self) -> Tensor:
        """All ids so far."""
        return torch.cat(self.id_parts)


class Gathered:
    """One subject's features by stage, on the CPU, its gradient norms and its normal probes."""

    def __init__(self, subject: Subject, config: AnalysisConfig, device: torch.device) -> None:
        self.subject, self.backbone, self.config = subject, subject.backbone, config
        self.fit_parts: dict[str, list[Tensor]] = {stage: [] for stage in self.backbone.stages}
        self.score_parts: dict[str, list[Tensor]] = {stage: [] for stage in self.backbone.stages}
        self.gradients = GradientNorms(subject) if "gradients" in config.measures else None
        self.normals = {
            stage: NormalProbe(self.backbone.width_of(stage), config.normal_penalty, device)
            for stage in self.backbone.local_stages
            if "normals" in config.measures
        }

    def fit(self, batch: PointBatch) -> None:
        """Learn from a batch of the training split: gradients, sums for the normals, features."""
        with torch.set_grad_enabled(self.gradients is not None):
            found = self._stages(batch)
            if self.gradients is not None:
                assert batch.labels is not None, "checked when the batch was noted"
                self.gradients.add(found[self.backbone.pooled_stage].pooled, batch.labels)
        with torch.no_grad():
            for stage, (tokens, normals) in self._normals(found, batch).items():
                self.normals[stage].add(tokens, normals)
            if "probes" in self.config.measures:
                self._keep(found, batch, self.fit_parts)

    def solve(self) -> None:
        """Between the splits: solve the normal probes; those that met no normals are dropped."""
        self.normals = {stage: probe for stage, probe in self.normals.items() if probe.num_fit}
        for probe in self.normals.values():
            probe.solve()

    @torch.no_grad()
    def score(self, batch: PointBatch) -> None:
        """Measure on a batch of the scored split: errors of the normals, features."""
        found = self._stages(batch)
        for stage, (tokens, normals) in self._normals(found, batch).items():
            self.normals[stage].score(tokens, normals)
        if self.config.keeps_features:
            self._keep(found, batch, self.score_parts)

    def features(self, stage: str) -> Tensor:
        """The scored clouds' features after `stage`."""
        return torch.cat(self.score_parts[stage])

    def fit_features(self, stage: str) -> Tensor:
        """The training clouds' features after `stage`."""
        return torch.cat(self.fit_parts[stage])

    def _stages(self, batch: PointBatch) -> dict[str, Features]:
        """Features after every stage, all of them finite."""
        found = self.backbone.intermediates(batch, self.backbone.stages)
        for stage, features in found.items():
            if not bool(features.tokens.isfinite().all()):
                raise DataError(
                    f"{self.subject.name} has features after {stage} that are not finite.",
                    expected="finite features of every cloud",
                    remedy="leave this subject out, or train it again at a lower learning rate",
                )
        return found

    def _normals(self, found: dict[str, Features], batch: PointBatch) -> dict[str, tuple[Tensor, Tensor]]:
        if batch.normals is None:
            return {}
        point_stages, limit = self.backbone.point_stages, self.config.normal_tokens
        return {
            stage: tokens_with_normals(found[stage], batch, limit, are_points=stage in point_stages)
            for stage in self.normals
        }

    def _keep(self, found: dict[str, Features], batch: PointBatch, parts: dict[str, list[Tensor]]) -> None:
        for stage, rows in parts.items():
            counts = batch.counts if stage in self.backbone.point_stages else None
            feature = pool(found[stage].tokens.detach(), counts, "maximum_and_mean")
            rows.append(feature.float().cpu())
