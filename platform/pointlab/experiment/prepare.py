"""`kind: prepare`: a dataset in its official format becomes shards in the store."""

from typing import Literal

from pointlab.config import StrictModel
from pointlab.data.dataset import DatasetConfig
from pointlab.experiment.placement import LaunchConfig, RayByDefault, StorageConfig


class PrepareExperiment(StrictModel):
    """Read, check, resample, normalise and shard one dataset."""

    kind: Literal["prepare"] = "prepare"
    data: DatasetConfig
    launch: RayByDefault = LaunchConfig(kind="ray")
    storage: StorageConfig = StorageConfig()
