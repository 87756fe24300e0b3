"""Transfers that train nothing of the backbone: features are extracted once, and a layer fitted on them."""

import time
from dataclasses import replace

from torch import nn

from pointlab.backbones import Backbone
from pointlab.evaluation import FeatureName, FeatureTable, classification_metrics
from pointlab.experiment.resolve import Findings
from pointlab.experiment.transfer_task import TransferTask
from pointlab.transfer import fit_probe, fit_svm, predict
from pointlab.transfer.svm import FittedSvm

OF_RANDOM_WEIGHTS = {"BatchNorm": "of the target's training clouds, as random weights have seen none"}


def linear_probe(task: TransferTask) -> Findings:
    """A convex fit, its penalty chosen on validation."""
    started = time.perf_counter()
    backbone = task.frozen_start()
    train, validation = (task.features(backbone, split) for split in ("train", "validation"))
    head = fit_probe(train, validation, task.target.num_classes, task.experiment.probe)
    findings = left_behind(task, backbone, head, validation)
    return _timed(findings, task, len(train.labels), started)


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
    findings.notes.update(_notes_on(svm, task))
    return _timed(findings, task, len(train.labels), started)


def feature_of_svm(backbone: Backbone) -> FeatureName:
    """What a linear SVM reads of it: `pooled`, as every head does, unless its paper has another feature."""
    return "pooled" if type(backbone).svm_features is Backbone.svm_features else "svm"


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
