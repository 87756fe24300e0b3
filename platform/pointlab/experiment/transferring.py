"""How a transfer is carried out, protocol by protocol.

Every choice (step, penalty, coefficient) reads validation splits only. The test splits are read once, by
`measure_test`, with the classifier that was chosen; a search's trials do not read them at all.
"""

from collections.abc import Callable
from functools import partial

import torch

from pointlab import distributed
from pointlab.experiment.classifier import read_classifier
from pointlab.experiment.few_shot import few_shot
from pointlab.experiment.fine_tuning import fine_tune, lp_ft
from pointlab.experiment.frozen import linear_probe, linear_svm
from pointlab.experiment.mixing import mix
from pointlab.experiment.overlap import note_on_overlap
from pointlab.experiment.pretrain import PretrainExperiment
from pointlab.experiment.resolve import Findings, Resolved
from pointlab.experiment.segmenting import measure_segmentation, segment, show_segmentation
from pointlab.experiment.souping import soup
from pointlab.experiment.tasks import Protocol
from pointlab.experiment.transfer import TransferExperiment
from pointlab.experiment.transfer_task import TransferTask, open_roles
from pointlab.experiment.voting import measure_votes
from pointlab.experiment.wiring import Data
from pointlab.experiment.zero_shot import zero_shot
from pointlab.storage import Storage
from pointlab.training import TrainContext
from pointlab.training.numerics import prepare_process


def transfer(resolved: Resolved[TransferExperiment], context: TrainContext) -> Findings:
    """Carry out the protocol, store the chosen classifier, and measure it where the experiment says so."""
    experiment = resolved.experiment
    prepare_process(experiment.training.num_threads)
    task = TransferTask(resolved, context, open_roles(resolved, context.storage))
    findings = segment(task) if experiment.segments else PROTOCOLS[experiment.protocol](task)
    if isinstance(experiment.pretrained, PretrainExperiment):
        findings.notes.update(note_on_overlap(experiment.data, experiment.pretrained.data))
    if experiment.test and experiment.leaves_classifier and distributed.rank() == 0:
        findings.metrics.update(measure_test(resolved, resolved.run, context.storage, context.device))
        if experiment.segments:
            show_segmentation(task)
    return findings


PROTOCOLS: dict[Protocol, Callable[[TransferTask], Findings]] = {
    "full": fine_tune,
    "linear_probe": linear_probe,
    "linear_svm": linear_svm,
    "few_shot": few_shot,
    "zero_shot": zero_shot,
    "wise_ft": partial(mix, method="wise_ft"),
    "wise_ft_lp": partial(mix, method="wise_ft_lp"),
    "lp_ft": lp_ft,
    "soup": soup,
}


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
    size, inputs = experiment.training.batch_size, classifier.backbone.inputs
    figures = classifier.measure(data.batches("test", size, inputs)(), device)
    return figures | measure_votes(experiment, classifier, data, device)
