"""How a transfer is carried out, protocol by protocol.

Every choice (step, penalty, coefficient) reads validation splits only. The test splits are read once, by
`measure_test`, with the classifier that was chosen; a search's trials do not read them at all.
"""

import copy
from collections.abc import Callable

import torch

from pointlab import distributed
from pointlab.backbones import Backbone
from pointlab.experiment.classifier import read_classifier
from pointlab.experiment.frozen import linear_probe, linear_svm
from pointlab.experiment.overlap import note_on_overlap
from pointlab.experiment.pretrain import PretrainExperiment
from pointlab.experiment.resolve import Findings, Resolved, findings_of
from pointlab.experiment.segmenting import measure_segmentation, segment, show_segmentation
from pointlab.experiment.tasks import Protocol
from pointlab.experiment.transfer import TransferExperiment
from pointlab.experiment.transfer_task import TransferTask, open_roles
from pointlab.experiment.wiring import Data, seeded
from pointlab.experiment.zero_shot import zero_shot
from pointlab.paradigms.supervised import Supervised
from pointlab.storage import Storage
from pointlab.training import Run, TrainContext, Trainer, TrainingResult
from pointlab.training.numerics import prepare_process
from pointlab.transfer import Method, choose, curve, sweep


def transfer(resolved: Resolved[TransferExperiment], context: TrainContext) -> Findings:
    """Carry out the protocol, store the chosen classifier, and measure it where the experiment says so."""
    experiment = resolved.experiment
    prepare_process(experiment.training.num_threads)
    task = TransferTask(resolved, context, open_roles(resolved, context.storage))
    findings = segment(task) if experiment.segments else PROTOCOLS[experiment.protocol](task)
    if isinstance(experiment.pretrained, PretrainExperiment):
        findings.notes.update(note_on_overlap(experiment.data, experiment.pretrained.data))
    if experiment.test and distributed.rank() == 0:
        findings.metrics.update(measure_test(resolved, resolved.run, context.storage, context.device))
        if experiment.segments:
            show_segmentation(task)
    return findings


def fine_tune(task: TransferTask) -> Findings:
    """Train all weights from the pretrained ones with a new head, then mix where the protocol says so."""
    experiment, start, subset = task.experiment, task.start(), task.subset()
    with seeded(experiment.seed, "head"):
        paradigm = Supervised(experiment.supervised, copy.deepcopy(start), task.target.given(subset))
    training = task.target.for_training(
        experiment.seed,
        experiment.augmentation,
        experiment.training.batch_size,
        paradigm,
        subset=subset,
    )
    run = Run(task.context.storage, task.resolved.run, task.context.fence)
    result = Trainer(paradigm, experiment.training, task.context, training, run).train()
    if distributed.rank() > 0:
        return Findings({})
    match experiment.protocol:
        case "wise_ft" | "wise_ft_lp" as method:
            return _mix(task, start, paradigm, result, method)
    task.publish(paradigm.backbone, paradigm.head)
    return findings_of(result)


PROTOCOLS: dict[Protocol, Callable[[TransferTask], Findings]] = {
    "full": fine_tune,
    "linear_probe": linear_probe,
    "linear_svm": linear_svm,
    "zero_shot": zero_shot,
    "wise_ft": fine_tune,
    "wise_ft_lp": fine_tune,
}


def _mix(
    task: TransferTask, start: Backbone, paradigm: Supervised, result: TrainingResult, method: Method
) -> Findings:
    """Sweep the coefficients on validation data and keep the classifier that the stated rule prefers."""
    experiment = task.experiment
    rule = experiment.mixture.selection
    mixtures = sweep(
        (start, paradigm.backbone),
        paradigm.head,
        task.train_batches(),
        {role: task.batches(entry, "validation") for role, entry in task.data.items()},
        num_classes=task.target.num_classes,
        mixture=experiment.mixture,
        probe=experiment.probe,
        device=task.context.device,
    )
    chosen = choose(mixtures, method, rule)
    task.publish(chosen.backbone, chosen.head)
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


def measure_test(
    resolved: Resolved[TransferExperiment], run: str, storage: Storage, device: torch.device
) -> dict[str, float]:
    """Figures of the model stored by `run` on the test split of every role: the one reading of it."""
    experiment, data = resolved.experiment, open_roles(resolved, storage)
    prepare_process(experiment.training.num_threads)
    measure = measure_segmentation if experiment.segments else _measure_classifier
    figures: dict[str, float] = {}
    for role, entry in data.items():
        measured = measure(experiment, run, storage, entry, device)
        prefix = "test" if role == "target" else f"{role}-test"
        figures |= {f"{prefix}/{name}": value for name, value in measured.items()}
    return figures


def _measure_classifier(
    experiment: TransferExperiment, run: str, storage: Storage, data: Data, device: torch.device
) -> dict[str, float]:
    """Figures of the classifier that `run` left, on the clouds of the set's test split."""
    classifier = read_classifier(experiment, run, storage)
    inputs = classifier.backbone.inputs
    return classifier.measure(data.batches("test", experiment.training.batch_size, inputs)(), device)
