"""Protocols full and lp_ft: all weights are trained, with a head that is new or one that was probed."""

import time
from dataclasses import replace

from pointlab import distributed
from pointlab.evaluation import classification_metrics
from pointlab.experiment.resolve import Findings, findings_of
from pointlab.experiment.transfer_task import TransferTask
from pointlab.experiment.wiring import seeded
from pointlab.paradigms.supervised import Supervised
from pointlab.training import Run, Trainer
from pointlab.transfer import FromProbe, fit_probe, predict

OF_STATISTICS = {
    "eval": "keeps the statistics with which the probe was fitted, as in the code of LP-FT",
    "train": "takes the statistics of the batches while all weights are trained",
}


def fine_tune(task: TransferTask) -> Findings:
    """Train all weights, with a head that is drawn by the seed."""
    experiment = task.experiment
    with seeded(experiment.seed, "head"):
        paradigm = Supervised(experiment.supervised, task.start(), task.target.given(task.subset()))
    return _train(task, paradigm)


def lp_ft(task: TransferTask) -> Findings:
    """Probe the frozen start, the penalty chosen on validation, then train all weights from that head on."""
    started, experiment, backbone = time.perf_counter(), task.experiment, task.frozen_start()
    train, validation = (task.features(backbone, split) for split in ("train", "validation"))
    probe = fit_probe(train, validation, task.target.num_classes, experiment.probe)
    seconds = time.perf_counter() - started
    given, backbone = task.target.given(task.subset()), backbone.requires_grad_(True)
    with seeded(experiment.seed, "head"):
        paradigm = FromProbe(experiment.supervised, backbone, given, probe, experiment.lp_ft)
    findings = _train(task, paradigm)
    reached = classification_metrics(predict(probe, validation.features), validation.labels)["accuracy"]
    findings.metrics["selection/probe_accuracy"] = reached
    findings.notes["BatchNorm"] = OF_STATISTICS[experiment.lp_ft.batch_norm]
    samples_seen = findings.samples_seen + len(train.labels)
    return replace(findings, samples_seen=samples_seen, device_seconds=findings.device_seconds + seconds)


def _train(task: TransferTask, paradigm: Supervised) -> Findings:
    """Train, and store the classifier; only the first worker has findings."""
    experiment, subset = task.experiment, task.subset()
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
    task.publish(paradigm.backbone, paradigm.head)
    return findings_of(result)
