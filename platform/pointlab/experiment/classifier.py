"""A finished classifier, read back from its run: what transfers and evaluations measure."""

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn

from pointlab.backbones import Backbone, build_backbone
from pointlab.data.sample import PointBatch
from pointlab.errors import ConfigError
from pointlab.evaluation import FeatureName, classification_metrics, pooled_features
from pointlab.evaluation.shared_classes import SharedClasses
from pointlab.experiment.imported import ImportExperiment
from pointlab.experiment.pretrain import PretrainExperiment
from pointlab.experiment.stored_models import read_module
from pointlab.experiment.transfer import TransferExperiment
from pointlab.objectives import HeadConfig, build_head
from pointlab.paradigms import ClassifyingConfig
from pointlab.storage import Storage, read_manifest
from pointlab.training.checkpoint import load_weights
from pointlab.transfer import predict
from pointlab.transfer.knn import empty_knn, is_knn
from pointlab.transfer.zero_shot import empty_head, is_zero_shot

ClassifierExperiment = PretrainExperiment | ImportExperiment | TransferExperiment


@dataclass(frozen=True)
class Answers:
    """What a classifier says of labelled clouds, in their order, on the CPU."""

    logits: Float[Tensor, "clouds classes"]
    labels: Int64[Tensor, " clouds"]
    shared: SharedClasses | None = None
    """Where the labels are those of a set with other classes: which answers are right about them."""

    def metrics(self) -> dict[str, float]:
        """`classification_metrics` of them, or those of the shared classes."""
        measure = classification_metrics if self.shared is None else self.shared.metrics
        return measure(self.logits, self.labels)


@dataclass(frozen=True)
class Classifier:
    """A backbone with its head, and the classes that the head tells apart."""

    backbone: Backbone
    head: nn.Module
    class_names: tuple[str, ...]
    reads: FeatureName = "pooled"
    """The feature that the head was made for."""

    def measure(self, batches: Iterable[PointBatch], device: torch.device) -> dict[str, float]:
        """`classification_metrics` on these clouds, in eval mode; DataError if one has no label."""
        return self.answer(batches, device).metrics()

    def answer(
        self, batches: Iterable[PointBatch], device: torch.device, shared: SharedClasses | None = None
    ) -> Answers:
        """What it says of these clouds, in eval mode; DataError if one has no label."""
        (table,) = pooled_features([self.backbone.to(device)], batches, device, self.reads)
        table.require_labels("A classifier")
        return Answers(predict(self.head, table.features), table.labels, shared)


def read_classifier(experiment: ClassifierExperiment, run: str, storage: Storage) -> Classifier:
    """The classifier that `run`, a finished run of `experiment`, left in the store."""
    backbone = build_backbone(experiment.architecture)
    load_weights(backbone, read_module(storage, run, "backbone"))
    manifest = read_manifest(storage, f"runs/{run}/model")
    assert manifest is not None, "its backbone was read"
    names = tuple(manifest.details["class_names"])
    head = _read_head(experiment, run, storage, len(names))
    return Classifier(backbone, head, names, manifest.details.get("reads", "pooled"))


def head_of(experiment: ClassifierExperiment) -> HeadConfig:
    """The configuration of an experiment's head; ConfigError where its paradigm trains none."""
    if isinstance(experiment, TransferExperiment):
        if experiment.segments:
            raise ConfigError(
                f"{experiment.name} is a segmentation, which names points and no clouds.",
                expected="a transfer whose task is classification",
            )
        if not experiment.leaves_classifier:
            raise ConfigError(
                f"{experiment.name} has the protocol {experiment.protocol}, which leaves a head for each fold"
                " and no classifier.",
                expected="a transfer with another protocol, such as full or linear_probe",
            )
        return experiment.supervised.head
    if isinstance(experiment, ImportExperiment):
        if experiment.head is None or not experiment.class_names:
            raise ConfigError(
                f"{experiment.name} is imported without "
                + ("names of its classes." if experiment.head else "a classifier."),
                expected="a released classifier, and class_names in the order of its outputs",
            )
        return experiment.head
    if not isinstance(experiment.paradigm, ClassifyingConfig):
        raise ConfigError(
            f"{experiment.name} is pretrained by {experiment.paradigm.kind}, which leaves no classifier.",
            expected="a transfer, or pretraining on labels (supervised, geometric)",
            remedy="transfer the backbone first: kind: transfer with this experiment as its pretrained",
        )
    return experiment.paradigm.head


def _read_head(experiment: ClassifierExperiment, run: str, storage: Storage, num_classes: int) -> nn.Module:
    """The stored head, told by its tensors: a probe is a single layer, whatever was fine-tuned before it, and
    reads as many channels as the feature has that was chosen for it."""
    weights = read_module(storage, run, "head")
    head: nn.Module
    if weights.keys() == {"weight", "bias"}:
        head = nn.Linear(weights["weight"].shape[1], num_classes)
    elif is_zero_shot(weights):
        head = empty_head(weights)
    elif is_knn(weights):
        head = empty_knn(weights)
    else:
        head = build_head(head_of(experiment), weights["0.weight"].shape[1], num_classes)
    load_weights(head, weights)
    return head
