"""`protocol: few_shot`: how well a start learns from a few clouds, as the mean over folds.

Every fold has a head of its own, so that no classifier is left behind. Frozen features are extracted once
for all folds, whose heads are fitted together; by fine-tuning, each fold is learned in a folder of its own
(`few_shot_tuning`).
"""

import statistics
import time
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Int64
from torch import nn

from pointlab.backbones import Backbone
from pointlab.data.folds import Fold, draw_folds, queries_of, released_folds
from pointlab.evaluation import FeatureName, FeatureTable, classification_metrics
from pointlab.experiment.few_shot_tuning import FoldResult, fine_tune_fold
from pointlab.experiment.frozen import feature_of_svm
from pointlab.experiment.going_on import require_going_on
from pointlab.experiment.prepared_data import Data
from pointlab.experiment.resolve import Findings
from pointlab.experiment.transfer import TransferExperiment
from pointlab.experiment.transfer_task import TransferTask
from pointlab.transfer import predict
from pointlab.transfer.few_shot import fit_heads, places_in

Rows = Int64[np.ndarray, " rows"]


@dataclass(frozen=True)
class FewShotTask(TransferTask):
    """A transfer whose training clouds are those of its folds.

    `queries` has, by role and for each fold, rows of the asked split: all are looked up before anything is
    trained, as a set may lack a class that a late fold asks about.
    """

    folds: tuple[Fold, ...]
    queries: Mapping[str, Mapping[int, Rows]]

    @classmethod
    def of(cls, task: TransferTask) -> "FewShotTask":
        """The task with its folds: those that the target brings along, or drawn by the seed."""
        train, experiment = task.target.split("train"), task.experiment
        if experiment.has_released_folds:
            folds = released_folds(train)
        else:
            settings, names = experiment.few_shot, task.target.manifest.class_names
            asked = settings.folds, settings.ways, settings.shots
            folds = draw_folds(train, *asked, seed=experiment.seed, class_names=names)
        most = experiment.few_shot.queries, experiment.seed
        asked_about = {
            role: {fold.number: queries_of(fold, data.split(experiment.asked_split), *most) for fold in folds}
            for role, data in task.data.items()
        }
        return cls(task.resolved, task.context, task.data, tuple(folds), asked_about)

    def subset(self) -> Rows:
        """Rows of the training split that any fold learns from."""
        return np.unique(np.concatenate([fold.support for fold in self.folds]))

    def tuned(self, fold: Fold) -> FoldResult:
        """What fine-tuning in the fold finds."""
        return fine_tune_fold(self, fold, {role: rows[fold.number] for role, rows in self.queries.items()})


def few_shot(task: TransferTask) -> Findings:
    """Learn every fold, and tell the mean and the sample standard deviation of their accuracies."""
    folded = FewShotTask.of(task)
    if task.experiment.few_shot.head != "full":
        return _findings(folded, FrozenFolds.of(folded).results())
    results = []
    for done, fold in enumerate(folded.folds, start=1):
        results.append(folded.tuned(fold))
        task.context.watch(task.resolved.run, done, len(folded.folds), results[-1].accuracies)
    return _findings(folded, results)


@dataclass(frozen=True)
class FrozenFolds:
    """Features of all clouds of all folds, each extracted once."""

    task: FewShotTask
    support: "Extracted"
    queries: Mapping[str, "Extracted"]
    flops: float

    @classmethod
    def of(cls, task: FewShotTask) -> "FrozenFolds":
        """Extract the features that the head reads."""
        backbone = task.frozen_start()
        support = Extracted.of(task, backbone, task.target, "train", task.subset())
        queries = {}
        for role, data in task.data.items():
            rows = np.unique(np.concatenate(list(task.queries[role].values())))
            queries[role] = Extracted.of(task, backbone, data, task.experiment.asked_split, rows)
        tables = [each.table for each in (support, *queries.values())]
        return cls(
            task, support, queries, task.flops_of_features(backbone, (_read_of(task, backbone),), *tables)
        )

    def results(self) -> list[FoldResult]:
        """Fit the heads of all folds together, and ask each about the queries of its fold."""
        require_going_on(self.task.resolved.run, self.task.context)
        started, folds = time.perf_counter(), self.task.folds
        supports = [self.support.of_fold(fold, fold.support) for fold in folds]
        heads = fit_heads(supports, self.task.experiment.few_shot)
        seconds = (time.perf_counter() - started) / len(folds)
        return [self._asked(fold, head, seconds) for fold, head in zip(folds, heads, strict=True)]

    def _asked(self, fold: Fold, head: nn.Module, seconds: float) -> FoldResult:
        accuracies = {}
        for role, rows in self.task.queries.items():
            asked = self.queries[role].of_fold(fold, rows[fold.number])
            accuracies[role] = classification_metrics(predict(head, asked.features), asked.labels)["accuracy"]
        return FoldResult(accuracies, len(fold.support), seconds, self.flops / len(self.task.folds))


@dataclass(frozen=True)
class Extracted:
    """Features of some rows of a split, in ascending order of these rows."""

    table: FeatureTable
    rows: Rows

    @classmethod
    def of(cls, task: FewShotTask, backbone: Backbone, data: Data, split: str, rows: Rows) -> "Extracted":
        """Extract them by the frozen backbone."""
        return cls(task.extracted(backbone, data, split, rows, (_read_of(task, backbone),))[0], rows)

    def of_fold(self, fold: Fold, rows: Rows) -> FeatureTable:
        """Those of some of the rows, labelled by the place of their class in the fold."""
        at = torch.from_numpy(np.searchsorted(self.rows, rows))
        labels = places_in(fold.classes.tolist(), self.table.labels[at])
        return FeatureTable(self.table.features[at], labels)


def _read_of(task: FewShotTask, backbone: Backbone) -> FeatureName:
    """What the heads read of it."""
    return feature_of_svm(backbone) if task.experiment.few_shot.head == "svm" else "pooled"


def _findings(task: FewShotTask, results: list[FoldResult]) -> Findings:
    """The figures over all folds, and a row for each of them."""
    names, asked = task.target.manifest.class_names, task.experiment.asked_split
    prefix = {role: asked if role == "target" else f"{role}-{asked}" for role in task.data}
    metrics: dict[str, float] = {}
    for role, split in prefix.items():
        accuracies = [result.accuracies[role] for result in results]
        metrics[f"{split}/accuracy"] = statistics.fmean(accuracies)
        metrics[f"{split}/accuracy_std"] = statistics.stdev(accuracies)
    rows: list[dict[str, float | str]] = [
        {
            "fold": fold.number,
            "classes": ", ".join(names[label] for label in fold.classes),
            **{f"{split}/accuracy": result.accuracies[role] for role, split in prefix.items()},
        }
        for fold, result in zip(task.folds, results, strict=True)
    ]
    return Findings(
        metrics,
        curves={"folds": rows},
        notes=_notes(task),
        samples_seen=sum(result.samples_seen for result in results),
        device_seconds=sum(result.device_seconds for result in results),
        flops=sum(result.flops for result in results),
    )


def _notes(task: FewShotTask) -> dict[str, str]:
    """What a reader of its figures should know."""
    experiment, settings = task.experiment, task.experiment.few_shot
    chooses = experiment.chooses_on_test
    kept = "of which the epoch that is best on its queries is kept" if chooses else "to the last step"
    unchosen = "" if chooses else "; nothing is chosen on queries"
    heads = {
        "linear": f"logistic regression on frozen features, penalty {settings.penalty:g}, as set",
        "svm": f"a linear SVM on frozen features, C {settings.strength:g}, as set",
        "full": f"all weights are fine-tuned in each fold, {kept}",
    }
    origin = "the released folds" if experiment.has_released_folds else f"drawn by seed {experiment.seed}"
    notes = {
        "folds": f"{len(task.folds)}, {origin}: {settings.ways} classes, {settings.shots} training clouds of"
        f" each; asked about {experiment.asked_split}",
        "accuracy": f"mean over folds, and their sample standard deviation{unchosen}",
        "head": heads[settings.head],
        **_on_fewer_queries(task),
    }
    is_frozen = settings.head != "full"
    return notes | _on_statistics(experiment) if task.is_random and is_frozen else notes


def _on_statistics(experiment: TransferExperiment) -> dict[str, str]:
    """Whose statistics a frozen random backbone has."""
    told = "of the training clouds of all folds, as random weights have seen none"
    if experiment.has_released_folds:
        told += "; released folds ask about some of them in another fold"
    return {"BatchNorm": told}


def _on_fewer_queries(task: FewShotTask) -> dict[str, str]:
    """Classes that have fewer clouds than are to be asked about, by role."""
    settings, names = task.experiment.few_shot, task.target.manifest.class_names
    notes: dict[str, str] = {}
    for role, data in task.data.items():
        labels = data.split(task.experiment.asked_split).labels
        asked = np.unique(np.concatenate([fold.classes for fold in task.folds]))
        fewer = {names[label]: int((labels == label).sum()) for label in asked}
        listed = ", ".join(f"{name} {count}" for name, count in fewer.items() if count < settings.queries)
        if listed and not task.experiment.has_released_folds:
            notes[f"fewer than {settings.queries} queries of the {role}"] = listed
    return notes
