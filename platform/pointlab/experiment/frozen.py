"""Transfers that train nothing of the backbone: features are extracted once, and a head is fitted on them.

All but the SVM take a grid: what is read of the backbone, times the settings of the head. All of it is tried
on validation.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import replace

from torch import nn

from pointlab.backbones import Backbone
from pointlab.evaluation import FeatureName, FeatureTable, classification_metrics
from pointlab.experiment.going_on import heeding
from pointlab.experiment.resolve import Findings
from pointlab.experiment.stored_models import seeded
from pointlab.experiment.transfer_task import TransferTask
from pointlab.objectives import build_head
from pointlab.transfer import fit_knn, fit_mlp_probes, fit_probes, fit_svm, predict
from pointlab.transfer.chosen import Chosen, accuracy_of, place_of_best
from pointlab.transfer.mlp_probe import Training
from pointlab.transfer.read_grid import ReadGrid
from pointlab.transfer.svm import FittedSvm

OF_RANDOM_WEIGHTS = {"BatchNorm": "of the target's training clouds, as random weights have seen none"}
Fit = Callable[[Sequence[FeatureTable], Sequence[FeatureTable]], list[Chosen]]
"""From tables of training and of validation clouds, one pair for each feature, to the best head on each."""


def linear_probe(task: TransferTask) -> Findings:
    """A convex fit, its penalty chosen on validation."""

    def fit(train: Sequence[FeatureTable], validation: Sequence[FeatureTable]) -> list[Chosen]:
        heads = fit_probes(train, validation, task.target.num_classes, task.experiment.probe)
        pairs = zip(heads, validation, strict=True)
        return [Chosen(head, accuracy_of(head, table), {}) for head, table in pairs]

    return _best_of_grid(task, task.experiment.probe, fit)


def mlp_probe(task: TransferTask) -> Findings:
    """The head of the papers, trained with every setting of the grid at once."""
    experiment = task.experiment
    heed = heeding(task.resolved.run, task.context)
    training = Training(
        experiment.mlp_probe,
        experiment.seed,
        task.context.device,
        experiment.supervised.label_smoothing,
        watch=lambda done, total: heed(done, total, {}),
    )

    def fit(train: Sequence[FeatureTable], validation: Sequence[FeatureTable]) -> list[Chosen]:
        starts = []
        for table in train:
            with seeded(experiment.seed, "head"):
                width = table.features.shape[1]
                starts.append(build_head(experiment.supervised.head, width, task.target.num_classes))
        return fit_mlp_probes(train, validation, starts, training)

    return _best_of_grid(task, experiment.mlp_probe, fit)


def knn(task: TransferTask) -> Findings:
    """A vote of the nearest training clouds; who asks for more voters than there are is told."""
    config = task.experiment.knn

    def fit(train: Sequence[FeatureTable], validation: Sequence[FeatureTable]) -> list[Chosen]:
        pairs = zip(train, validation, strict=True)
        return [fit_knn(*tables, task.target.num_classes, config) for tables in pairs]

    findings = _best_of_grid(task, config, fit)
    if too_many := set(config.num_neighbours) - set(config.possible(task.num_train)):
        told = ", ".join(map(str, sorted(too_many)))
        findings.notes["left out"] = f"{told} voters, as there are {task.num_train} training clouds"
    return findings


def linear_svm(task: TransferTask) -> Findings:
    """A support vector machine, its C chosen on validation where there are several to choose from."""
    started = time.perf_counter()
    config = task.experiment.svm
    is_chosen, backbone = len(config.strengths) > 1, task.frozen_start()
    reads = feature_of_svm(backbone)
    train, validation = task.features(backbone, "train", reads), task.validation_features(backbone, reads)
    svm = fit_svm(train, validation if is_chosen else None, task.target.num_classes, config)
    findings = left_behind(task, backbone, svm.layer, validation, reads)
    findings.metrics.update({"selection/strength": svm.strength} if is_chosen else {})
    findings.notes.update(_notes_on(svm, task) | note_on_cost(train, *([validation] if validation else [])))
    tables = (train, *([validation] if validation else []))
    findings = _timed(findings, task, len(train.labels), started)
    return replace(findings, flops=task.flops_of_features(backbone, (reads,), *tables))


def feature_of_svm(backbone: Backbone) -> FeatureName:
    """What a linear SVM reads of it: `pooled`, as every head does, unless its paper has another feature."""
    return "pooled" if type(backbone).svm_features is Backbone.svm_features else "svm"


def note_on_cost(*tables: FeatureTable) -> dict[str, str]:
    """What a reader of `device_seconds` should know: it may be less than such a run costs."""
    if not any(table.was_kept for table in tables):
        return {}
    return {"features": "some were in the machine's cache: the device time is without what they cost"}


def left_behind(
    task: TransferTask,
    backbone: Backbone,
    head: nn.Module,
    validation: FeatureTable | None,
    reads: FeatureName = "pooled",
) -> Findings:
    """Store the classifier, and tell its validation figures where there are clouds with labels for them."""
    task.publish(backbone, head, reads)
    if validation is None or not validation.has_labels:
        return Findings({})
    figures = classification_metrics(predict(head, validation.features), validation.labels)
    return Findings({f"validation/{name}": value for name, value in figures.items()})


def _best_of_grid(task: TransferTask, grid: ReadGrid, fit: Fit) -> Findings:
    """The best head on any of the features of the grid; of equals that on the shallowest stage."""
    started, backbone = time.perf_counter(), task.frozen_start()
    features = grid.features(backbone)
    train, validation = (task.tables(backbone, split, features) for split in ("train", "validation"))
    found = fit(train, validation)
    place = place_of_best(found)
    chosen, reads = found[place], features[place]
    findings = left_behind(task, backbone, chosen.head, validation[place], reads)
    numbers = {name: value for name, value in chosen.settings.items() if not isinstance(value, str)}
    findings.metrics.update({f"selection/{name}": value for name, value in numbers.items()})
    findings.notes.update(_notes_on_choice(chosen, grid, reads, features) | note_on_cost(*train, *validation))
    if len(features) > 1:
        rows = [_row(feature, each) for feature, each in zip(features, found, strict=True)]
        findings.curves["features"] = rows
    findings = _timed(findings, task, len(train[0].labels), started)
    return replace(findings, flops=task.flops_of_features(backbone, features, train[0], validation[0]))


def _notes_on_choice(
    chosen: Chosen, grid: ReadGrid, reads: FeatureName, features: Sequence[FeatureName]
) -> dict[str, str]:
    """What a reader should know beside the figures."""
    told = ", ".join(f"{name.replace('_', ' ')} {_said(value)}" for name, value in chosen.settings.items())
    notes = {"head": f"{told}: the best on validation"} if told else {}
    if not grid.reads_as_trained:
        of_several = f", the best of {len(features)} on validation" if len(features) > 1 else ", as set"
        notes["reads"] = reads + of_several
    return notes


def _row(feature: FeatureName, chosen: Chosen) -> dict[str, float | str]:
    return {"feature": feature, **chosen.settings, "validation/accuracy": chosen.accuracy}


def _said(value: float | str) -> str:
    return value if isinstance(value, str) else f"{value:g}"


def _timed(findings: Findings, task: TransferTask, samples_seen: int, started: float) -> Findings:
    notes = OF_RANDOM_WEIGHTS if task.is_random else {}
    return replace(
        findings,
        notes=findings.notes | notes,
        samples_seen=samples_seen,
        device_seconds=time.perf_counter() - started,
    )


def _notes_on(svm: FittedSvm, task: TransferTask) -> dict[str, str]:
    config = task.experiment.svm
    offered = ", ".join(f"{strength:g}" for strength in config.strengths)
    chosen = f", the best of {offered} on validation (the smallest of equals)"
    notes = {"C": f"{svm.strength:g}" + (chosen if len(config.strengths) > 1 else ", as set")}
    if not svm.has_converged:
        notes["solver"] = (
            f"it was stopped after {config.max_iterations} iterations, before its end; raise"
            " svm.max_iterations, or lower svm.strengths"
        )
    return notes
