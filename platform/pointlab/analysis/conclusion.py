"""The tables of an analysis: what follows from all that was gathered, once the data has gone by."""

import math
from dataclasses import dataclass

import torch

from pointlab.analysis.embedding import embed
from pointlab.analysis.gathering import Gathered, Seen
from pointlab.analysis.gradients import Row
from pointlab.analysis.probes import held_out, linear_accuracy, neighbour_accuracy
from pointlab.analysis.ranks import effective_rank, rank_me
from pointlab.analysis.settings import AnalysisConfig
from pointlab.analysis.similarity import centred_kernel_alignment
from pointlab.analysis.spacing import evenly_spaced
from pointlab.evaluation import FeatureTable


@dataclass(frozen=True)
class Conclusion:
    """Everything gathered, and the settings; each method makes a table."""

    gathered: list[Gathered]
    fit_seen: Seen
    score_seen: Seen
    num_classes: int
    config: AnalysisConfig

    def stages(self, drifts: list[dict[str, float]]) -> list[Row]:
        """The table of stages."""
        rows = []
        for one, drift in zip(self.gathered, drifts, strict=True):
            gradients = one.gradients.by_stage() if one.gradients else {}
            probed = self._probed(one) if "probes" in self.config.measures else {}
            for depth, stage in enumerate(one.backbone.stages):
                row: Row = {"subject": one.subject.name, "stage": stage, "depth": depth}
                row |= {"width": one.backbone.width_of(stage)}
                row |= {"channels": one.features(stage).shape[1]} if self.config.keeps_features else {}
                row |= probed.get(stage, {})
                error = one.normals[stage].error if stage in one.normals else None
                row |= {} if error is None else {"normal_error": error}
                row |= gradients.get(stage, {})
                row |= {"head": one.subject.head_kind} if gradients else {}
                row |= {"drift": drift[stage]} if stage in drift else {}
                row |= {"started_as": one.subject.started_as} if one.subject.started_as else {}
                rows.append(row | self._ranks(one, stage))
        return rows

    def similarities(self) -> list[Row]:
        """The table of CKA; pairs in which something does not vary have none."""
        if "similarity" not in self.config.measures:
            return []
        places = [
            (number, stage) for number, one in enumerate(self.gathered) for stage in one.backbone.stages
        ]
        values = centred_kernel_alignment(
            [self.gathered[number].features(stage) for number, stage in places],
            self.config.estimator,
            self.config.similarity_clouds,
        )
        rows = list[Row]()
        for (a, stage_a), of_a in zip(places, values.tolist(), strict=True):
            for (b, stage_b), value in zip(places, of_a, strict=True):
                if a <= b and not math.isnan(value):
                    subject_a, subject_b = (self.gathered[number].subject.name for number in (a, b))
                    row: Row = {"subject_a": subject_a, "stage_a": stage_a, "subject_b": subject_b}
                    rows.append(row | {"stage_b": stage_b, "value": value})
        return rows

    def embedding(self) -> list[Row]:
        """The table of places in the drawings, for the same clouds in all of them."""
        if self.config.embedding_stages == "none":
            return []
        rows = list[Row]()
        num_clouds = len(self.score_seen)
        limit = min(self.config.embedding_clouds, num_clouds)
        chosen = evenly_spaced(torch.tensor([num_clouds]), limit)[0][0]
        labels, ids = self.score_seen.labels[chosen].tolist(), self.score_seen.ids[chosen].tolist()
        first = {"last": -1, "all": 0}[self.config.embedding_stages]
        for one in self.gathered:
            for stage in one.backbone.stages[first:]:
                places = embed(one.features(stage)[chosen], self.config.perplexity).tolist()
                for (x, y), label, id_ in zip(places, labels, ids, strict=True):
                    row: Row = {"subject": one.subject.name, "stage": stage, "x": x, "y": y}
                    rows.append(row | {"label": label, "id": str(id_)})
        return rows

    def _probed(self, one: Gathered) -> dict[str, Row]:
        """Accuracies of the probes of every stage."""
        fit, score, config = self.fit_seen, self.score_seen, self.config
        is_held_out = held_out(fit.labels, fit.ids, config.held_out)
        found = dict[str, Row]()
        for stage in one.backbone.stages:
            known = FeatureTable(one.fit_features(stage), fit.labels)
            asked = FeatureTable(one.features(stage), score.labels)
            found[stage] = {
                "linear_accuracy": linear_accuracy(known, asked, is_held_out, self.num_classes, config.probe),
                "knn_accuracy": neighbour_accuracy(known, asked, self.num_classes, config.num_neighbours),
            }
        return found

    def _ranks(self, one: Gathered, stage: str) -> Row:
        if "ranks" not in self.config.measures:
            return {}
        features = one.features(stage)
        return {"rankme": rank_me(features), "effective_rank": effective_rank(features)}
