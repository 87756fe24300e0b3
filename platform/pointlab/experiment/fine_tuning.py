"""Protocols full and lp_ft: all weights are trained, with a head that is new or one that was probed.

And what goes by the same loop: the probes of released code, on a backbone that is called frozen.
"""

import time
from bisect import bisect_right
from dataclasses import replace

from pointlab import distributed
from pointlab.data.order import num_steps
from pointlab.evaluation import classification_metrics
from pointlab.experiment.frozen import OF_RANDOM_WEIGHTS, note_on_cost
from pointlab.experiment.legacy import chosen_on
from pointlab.experiment.resolve import Findings, findings_of
from pointlab.experiment.stored_models import seeded
from pointlab.experiment.transfer_task import TransferTask
from pointlab.paradigms.supervised import Supervised
from pointlab.training import Run, Trainer, TrainingResult
from pointlab.transfer import FromProbe, fit_probe, predict
from pointlab.transfer.trained_probe import TrainedProbe

OF_STATISTICS = {
    "eval": "keeps the statistics with which the probe was fitted, as in the code of LP-FT",
    "train": "takes the statistics of the batches while all weights are trained",
}


def fine_tune(task: TransferTask) -> Findings:
    """Train all weights, with a head that is drawn by the seed; where settings change, phase by phase.

    A run that goes on from a checkpoint enters the phase that its step lies in.
    """
    phases = [replace(task.resolved, experiment=phase) for phase in task.experiment.phases]
    size = task.experiment.training.batch_size
    ends = [num_steps(task.num_train, phase.experiment.training.end, size) for phase in phases]
    step, last = 0, len(phases) - 1
    while True:
        place = min(bisect_right(ends, step), last)
        trainer, paradigm = with_new_head(replace(task, resolved=phases[place]))
        step = trainer.state.progress.step
        if place == min(bisect_right(ends, step), last):
            result = trainer.train()
            if place == last:
                return _finished(task, paradigm, result)
            step = result.steps


def with_new_head(task: TransferTask) -> tuple[Trainer, Supervised]:
    """All weights and a head that is drawn by the seed, at the step that the run has come to."""
    experiment = task.experiment
    with seeded(experiment.seed, "head"):
        paradigm = Supervised(experiment.supervised, task.start(), task.target.given(task.subset()))
    return _trainer(task, paradigm), paradigm


def lp_ft(task: TransferTask) -> Findings:
    """Probe the frozen start, the penalty chosen on validation, then train all weights from that head on."""
    started, experiment, backbone = time.perf_counter(), task.experiment, task.frozen_start()
    train, validation = (task.features(backbone, split) for split in ("train", "validation"))
    probe = fit_probe(train, validation, task.target.num_classes, experiment.probe)
    seconds = time.perf_counter() - started
    flops = task.flops_of_features(backbone, ("pooled",), train, validation)
    given, backbone = task.target.given(task.subset()), backbone.requires_grad_(True)
    with seeded(experiment.seed, "head"):
        paradigm = FromProbe(experiment.supervised, backbone, given, probe, experiment.lp_ft)
    findings = _finished(task, paradigm, _trainer(task, paradigm).train())
    reached = classification_metrics(predict(probe, validation.features), validation.labels)["accuracy"]
    findings.metrics["selection/probe_accuracy"] = reached
    findings.notes["BatchNorm"] = OF_STATISTICS[experiment.lp_ft.batch_norm]
    findings.notes.update(note_on_cost(train, validation))
    return replace(
        findings,
        samples_seen=findings.samples_seen + len(train.labels),
        device_seconds=findings.device_seconds + seconds,
        flops=findings.flops + flops,
    )


def trained_probe(task: TransferTask) -> Findings:
    """Train a head on a backbone that is frozen as released code has it, which `legacy` asks for."""
    experiment, legacy = task.experiment, task.experiment.legacy
    assert legacy is not None, "other probes are fitted"
    with seeded(experiment.seed, "head"):
        paradigm = TrainedProbe(
            experiment.supervised,
            task.frozen_start(),
            task.target.given(task.subset()),
            trains_class_token=legacy.trained_class_token,
            drifts=legacy.drifting_batch_norm,
        )
    findings = _finished(task, paradigm, _trainer(task, paradigm).train())
    findings.notes.update(OF_RANDOM_WEIGHTS if task.is_random else {})
    return findings


def _trainer(task: TransferTask, paradigm: Supervised) -> Trainer:
    """What trains the paradigm, at the step that the run has come to."""
    experiment = task.experiment
    training = task.target.for_training(
        experiment.seed,
        experiment.augmentation,
        experiment.training.batch_size,
        paradigm,
        subset=task.subset(),
    )
    training = chosen_on(experiment, task.target, training)
    run = Run(task.context.storage, task.resolved.run, task.context.fence)
    return Trainer(paradigm, experiment.training, task.context, training, run)


def _finished(task: TransferTask, paradigm: Supervised, result: TrainingResult) -> Findings:
    """Store the classifier; only the first worker has findings."""
    if distributed.rank() > 0:
        return Findings({})
    task.publish(paradigm.backbone, paradigm.head)
    return findings_of(result)
