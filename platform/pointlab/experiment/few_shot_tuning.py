"""Fine-tuning in the folds of few-shot: each trains in a folder of its own below the run.

What a fold found is sealed there, and its checkpoints go, so that there are those of one fold at a time. A
run that goes on reads what is sealed, and the fold that was cut short goes on from its newest checkpoint.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace

import numpy as np
import torch
from jaxtyping import Int64

from pointlab import distributed
from pointlab.data.folds import Fold
from pointlab.evaluation import classification_metrics, pooled_features
from pointlab.experiment.legacy import chosen_on
from pointlab.experiment.stored_models import seeded
from pointlab.experiment.transfer_task import TransferTask
from pointlab.storage import publish, read_manifest
from pointlab.storage.artifact import read_verified, remove
from pointlab.training import Run, Trainer, TrainingResult
from pointlab.transfer import predict
from pointlab.transfer.few_shot import FoldClassifier, places_in

RESULT = "result.json"


@dataclass(frozen=True)
class FoldResult:
    """Accuracy on the queries by role, and what it took."""

    accuracies: dict[str, float]
    samples_seen: int
    device_seconds: float
    flops: float = 0.0


def fine_tune_fold(
    task: TransferTask, fold: Fold, queries: Mapping[str, Int64[np.ndarray, " rows"]]
) -> FoldResult:
    """What the fold found: read where it is finished, else trained and measured."""
    run = Run(task.context.storage, f"{task.resolved.run}/folds/{fold.number}", task.context.fence)
    found = distributed.broadcast_object(_read(run) if distributed.rank() == 0 else None)
    if found is not None:
        return found
    paradigm, trained = _train(task, fold, run, queries["target"])
    result = FoldResult({}, trained.samples_seen, trained.device_seconds, trained.flops)
    if distributed.rank() == 0:
        result = replace(result, accuracies=_measure(task, fold, paradigm, queries))
        _seal(run, result)
    return distributed.broadcast_object(result)


def _train(
    task: TransferTask, fold: Fold, run: Run, queries: Int64[np.ndarray, " rows"]
) -> tuple[FoldClassifier, TrainingResult]:
    """Nothing is validated: the classes of the fold have no clouds of their own to choose on. Unless the
    experiment has the habit of choosing on the queries."""
    experiment, classes = task.experiment, fold.classes.tolist()
    with seeded(experiment.seed, "few-shot head", fold.number):
        given = task.target.given(fold.support)
        paradigm = FoldClassifier(experiment.supervised, task.start(), given, classes)
    data = task.target.for_training(
        experiment.seed,
        experiment.augmentation,
        experiment.training.batch_size,
        paradigm,
        subset=fold.support,
    )
    data = chosen_on(experiment, task.target, replace(data, validation=None), queries)
    config = experiment.training
    if data.validation is None:
        config = config.model_copy(update={"validate_every": config.epochs})  # which also writes a checkpoint
    trainer = Trainer(paradigm, config, task.context, data, run)
    return paradigm, trainer.train()


def _measure(
    task: TransferTask,
    fold: Fold,
    paradigm: FoldClassifier,
    queries: Mapping[str, Int64[np.ndarray, " rows"]],
) -> dict[str, float]:
    """Accuracy on the queries of every role."""
    accuracies = {}
    for role, data in task.data.items():
        batches = task.batches(data, task.experiment.asked_split, queries[role])
        (table,) = pooled_features([paradigm.backbone], batches(), task.context.device)
        head, labels = paradigm.head.to(torch.device("cpu")), places_in(fold.classes.tolist(), table.labels)
        accuracies[role] = classification_metrics(predict(head, table.features), labels)["accuracy"]
    return accuracies


def _read(run: Run) -> FoldResult | None:
    """What a finished fold found; of one that is not, None."""
    path, storage = f"{run.path}/result", run.storage
    manifest = read_manifest(storage, path)
    if manifest is None:
        return None
    _clear(run)  # in case it was cut short just before
    return FoldResult(**json.loads(read_verified(storage, path, RESULT, manifest)))


def _seal(run: Run, result: FoldResult) -> None:
    """Keep what the fold found."""
    run.require_lease()
    publish(run.storage, f"{run.path}/result", "fold", {RESULT: json.dumps(asdict(result)).encode()}, {})
    _clear(run)


def _clear(run: Run) -> None:
    """Delete the checkpoints of a finished fold: nobody will ask for its weights."""
    for step in run.checkpoints():
        remove(run.storage, run.checkpoint_path(step))
