"""How a transfer is carried out, protocol by protocol.

Every choice (step, penalty, coefficient) reads validation splits only. The test splits are read once, by
`measure_test`, with the classifier that was chosen; a search's trials do not read them at all.
"""

import copy
import time
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Int64
from torch import nn

from pointlab import distributed
from pointlab.backbones import Backbone
from pointlab.errors import ConfigError, DataError
from pointlab.evaluation import classification_metrics, pooled_features
from pointlab.experiment.classifier import read_classifier
from pointlab.experiment.resolve import Findings, Resolved, findings_of
from pointlab.experiment.transfer import TransferExperiment
from pointlab.experiment.wiring import Data, open_data, publish_model, read_module, seeded, seeded_backbone
from pointlab.paradigms.supervised import Supervised
from pointlab.storage import Storage
from pointlab.training import Run, TrainContext, Trainer, TrainingResult
from pointlab.training.checkpoint import load_weights
from pointlab.training.numerics import prepare_process
from pointlab.transfer import Batches, Method, choose, curve, fit_probe, predict, reestimate, sweep


def transfer(resolved: Resolved[TransferExperiment], context: TrainContext) -> Findings:
    """Carry out the protocol, store the chosen classifier, and measure it where the experiment says so."""
    experiment = resolved.experiment
    prepare_process(experiment.training.num_threads)
    data = open_roles(resolved, context.storage)
    _require_validation(experiment, data)
    task = TransferTask(resolved, context, data)
    findings = task.linear_probe() if experiment.protocol == "linear_probe" else task.fine_tune()
    if experiment.test and distributed.rank() == 0:
        findings.metrics.update(measure_test(resolved, resolved.run, context.storage, context.device))
    return findings


@dataclass(frozen=True)
class TransferTask:
    """One transfer with its data by role, `target` and perhaps `shifted`."""

    resolved: Resolved[TransferExperiment]
    context: TrainContext
    data: dict[str, Data]

    def linear_probe(self) -> Findings:
        """Features of the frozen backbone, extracted once, and a convex fit on them."""
        started = time.perf_counter()
        target, backbone = self.data["target"], self._start()
        backbone.to(self.context.device).requires_grad_(False)
        is_random = "pretrained" not in self.resolved.parents
        if is_random:  # its statistics are a mere beginning: without those of some data, features collapse
            reestimate([backbone], self._train_batches()(), self.context.device)
        size = self.resolved.experiment.training.batch_size
        train, validation = (
            pooled_features([backbone], batches(), self.context.device)[0]
            for batches in (self._train_batches(), target.batches("validation", size))
        )
        head = fit_probe(train, validation, target.num_classes, self.resolved.experiment.probe)
        figures = classification_metrics(predict(head, validation.features), validation.labels)
        self._publish(backbone, head)
        metrics = {f"validation/{name}": value for name, value in figures.items()}
        seconds = time.perf_counter() - started
        notes = {"BatchNorm": "of the target's training clouds, as random weights have seen none"}
        return Findings(
            metrics,
            notes=notes if is_random else {},
            samples_seen=len(train.labels),
            device_seconds=seconds,
        )

    def fine_tune(self) -> Findings:
        """Train all weights from the pretrained ones with a new head, then mix where the protocol says so."""
        experiment, target, start = self.resolved.experiment, self.data["target"], self._start()
        subset = self._subset()
        with seeded(experiment.seed, "head"):
            paradigm = Supervised(experiment.supervised, copy.deepcopy(start), target.given(subset))
        training = target.for_training(
            experiment.seed,
            experiment.augmentation,
            experiment.training.batch_size,
            paradigm,
            subset=subset,
        )
        run = Run(self.context.storage, self.resolved.run, self.context.fence)
        result = Trainer(paradigm, experiment.training, self.context, training, run).train()
        if distributed.rank() > 0:
            return Findings({})
        match experiment.protocol:
            case "wise_ft" | "wise_ft_lp" as method:
                return self._mix(start, paradigm, result, method)
        self._publish(paradigm.backbone, paradigm.head)
        return findings_of(result)

    def _mix(self, start: Backbone, paradigm: Supervised, result: TrainingResult, method: Method) -> Findings:
        """Sweep the coefficients on validation data and keep the classifier that the stated rule prefers."""
        experiment, target = self.resolved.experiment, self.data["target"]
        size, rule = experiment.training.batch_size, experiment.mixture.selection
        mixtures = sweep(
            (start, paradigm.backbone),
            paradigm.head,
            self._train_batches(),
            {role: entry.batches("validation", size) for role, entry in self.data.items()},
            num_classes=target.num_classes,
            mixture=experiment.mixture,
            probe=experiment.probe,
            device=self.context.device,
        )
        chosen = choose(mixtures, method, rule)
        self._publish(chosen.backbone, chosen.head)
        findings = findings_of(result)
        findings.metrics.update(
            {f"{role}-validation/accuracy": value for role, value in chosen.accuracy.items()}
            | {"selection/coefficient": chosen.coefficient, "selection/score": chosen.score(rule)}
        )
        findings.curves["coefficients"] = curve(mixtures)
        findings.notes.update(
            {
                "selection rule": f"highest {rule} validation accuracy; the largest of equal coefficients",
                "BatchNorm": experiment.mixture.batch_norm,
            }
        )
        return findings

    def _subset(self) -> Int64[np.ndarray, " rows"] | None:
        """Rows of the target's training split that may be trained on; None for all."""
        experiment = self.resolved.experiment
        return self.data["target"].few_per_class(experiment.samples_per_class, experiment.seed)

    def _train_batches(self) -> Batches:
        size = self.resolved.experiment.training.batch_size
        return self.data["target"].batches("train", size, rows=self._subset())

    def _start(self) -> Backbone:
        """The pretrained backbone, or a random one where nothing was pretrained."""
        resolved = self.resolved
        backbone = seeded_backbone(resolved.experiment.architecture, resolved.experiment.seed)
        if "pretrained" in resolved.parents:
            weights = read_module(self.context.storage, resolved.parents["pretrained"], "backbone")
            load_weights(backbone, weights)
        return backbone

    def _publish(self, backbone: Backbone, head: nn.Module) -> None:
        publish_model(
            self.context.storage,
            self.resolved.run,
            {"backbone": backbone, "head": head},
            self.resolved.experiment.architecture,
            self.data["target"].manifest.class_names,
        )


def open_roles(resolved: Resolved[TransferExperiment], storage: Storage) -> dict[str, Data]:
    """The data by role, `target` and perhaps `shifted`; DataError if their classes differ."""
    num_points = resolved.experiment.num_points
    data = {"target": open_data(storage, resolved.datasets["data"], num_points)}
    if "shifted" in resolved.datasets:
        data["shifted"] = open_data(storage, resolved.datasets["shifted"], num_points)
        target, shifted = (", ".join(entry.manifest.class_names) for entry in data.values())
        if target != shifted:
            raise DataError(
                f"The target has the classes {target}; the shifted set has {shifted}.",
                expected="equal classes in equal order",
            )
    return data


def _require_validation(experiment: TransferExperiment, data: dict[str, Data]) -> None:
    for entry in data.values():
        if experiment.protocol != "full" and not entry.manifest.rows.get("validation"):
            raise ConfigError(
                f"The protocol {experiment.protocol} chooses on validation data, and {entry.name} has no"
                " validation split.",
                remedy="set data.validation_fraction above 0",
            )


def measure_test(
    resolved: Resolved[TransferExperiment], run: str, storage: Storage, device: torch.device
) -> dict[str, float]:
    """Accuracy of the classifier stored by `run` on the test split of every role: the one reading of it."""
    experiment, data = resolved.experiment, open_roles(resolved, storage)
    prepare_process(experiment.training.num_threads)
    classifier = read_classifier(experiment, run, storage)
    figures: dict[str, float] = {}
    for role, entry in data.items():
        batches = entry.batches("test", experiment.training.batch_size)()
        measured = classifier.measure(batches, device)
        prefix = "test" if role == "target" else f"{role}-test"
        figures |= {f"{prefix}/{name}": value for name, value in measured.items()}
    return figures
