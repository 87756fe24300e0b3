"""Where an experiment runs and where its results go; neither changes what comes out."""

from collections.abc import Iterable
from typing import Literal

from pydantic import Field

from pointlab.config import StrictModel
from pointlab.data.dataset import DatasetConfig


def require_points(num_points: int, datasets: Iterable[DatasetConfig]) -> None:
    """Refuse, as a mistake of the config, to show a network more points than are prepared."""
    for data in datasets:
        if data.num_points < num_points:
            raise ValueError(
                f"num_points is {num_points}, but {data.name} is prepared with {data.num_points} points"
                " a cloud: lower num_points, or raise that of the data"
            )


class LaunchConfig(StrictModel):
    """In this process, or on Ray with some workers."""

    kind: Literal["local", "ray"] = "local"
    """local suits debugging and small runs; ray runs on this machine's cores or on a cluster alike."""
    num_workers: int = Field(default=1, ge=1)
    cpus_per_worker: float = Field(default=0.5, gt=0)
    """Logical CPUs a worker reserves; with half of one, two workers leave a core of two to data tasks."""
    gpus_per_worker: float = Field(default=0, ge=0)


class StorageConfig(StrictModel):
    """Where datasets, runs and records are kept."""

    root: str = "results"
    """A folder, or s3://bucket/prefix with endpoint and keys from the usual AWS variables."""
