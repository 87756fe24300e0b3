"""Real runs of a paradigm that a test has built itself, on the tiny set of shapes."""

from typing import Any

from conftest import SHAPES, TRAINING
from pointlab.config import merge, validate
from pointlab.data.augmentation import AugmentationConfig
from pointlab.data.dataset import DatasetConfig, find_prepared
from pointlab.experiment.prepared_data import open_data
from pointlab.paradigms import Trainable
from pointlab.storage import Storage
from pointlab.training import Run, TrainContext, Trainer, TrainingConfig


def fit(paradigm: Trainable, storage: Storage, name: str, context: TrainContext, **changes: Any) -> None:
    """Train `paradigm` as the run `name`, from its newest checkpoint if it has one."""
    config = validate(TrainingConfig, merge(TRAINING, changes), "test")
    prepared = find_prepared(validate(DatasetConfig, SHAPES, "test"), storage)
    assert prepared is not None
    data = open_data(storage, prepared, num_points=48)
    training = data.for_training(0, AugmentationConfig(), config.batch_size, paradigm)
    Trainer(paradigm, config, context, training, Run(storage, name)).train()
