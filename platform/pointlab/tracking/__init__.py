"""Finished runs for other programs to show: MLflow and Weights & Biases get what records and logs say.

A run is told whole or not at all, and once: another export of it finds it there. Nothing is told while a
run is under way, and no result depends on whether anybody looks.
"""

from pointlab.tracking.replay import Replay, replay_of
from pointlab.tracking.to_mlflow import to_mlflow
from pointlab.tracking.to_wandb import to_wandb

__all__ = ["Replay", "replay_of", "to_mlflow", "to_wandb"]
