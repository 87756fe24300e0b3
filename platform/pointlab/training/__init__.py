"""Training: the loop, its context, optimiser, checkpoints and log, for every paradigm alike."""

from pointlab.training.context import LocalContext, TrainContext, Watcher, ignore_progress
from pointlab.training.loop import Trainer, TrainingData, TrainingResult
from pointlab.training.run import Run
from pointlab.training.settings import OptimiserConfig, TrainingConfig

__all__ = [
    "LocalContext",
    "OptimiserConfig",
    "Run",
    "TrainContext",
    "Trainer",
    "TrainingConfig",
    "TrainingData",
    "TrainingResult",
    "Watcher",
    "ignore_progress",
]
