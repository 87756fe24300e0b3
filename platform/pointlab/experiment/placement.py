"""Where an experiment runs and where its results go; neither changes what comes out."""

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, field_validator

from pointlab.config import StrictModel


class LaunchConfig(StrictModel):
    """In this process, or on Ray with some workers; how failures and doubtful data are taken."""

    kind: Literal["local", "ray"] = "local"
    """local suits debugging and small runs; ray runs on this machine's cores or on a cluster alike."""
    num_workers: int | tuple[int, int] = 1
    """So many, or [fewest, most]: then a run takes what room there is, and its size follows the cluster's."""
    cpus_per_worker: float = Field(default=0.5, gt=0)
    """Logical CPUs a worker reserves; with half of one, two workers leave a core of two to data tasks."""
    gpus_per_worker: float = Field(default=0, ge=0)
    max_failures: int = Field(default=3, ge=0)
    """Failures in a row (a lost worker, node or store) after which a run goes on by itself; a new checkpoint
    starts the count anew. Three outlast an unlucky moment, and no defect."""
    wait_for_nodes: float = Field(default=300, ge=0)
    """Seconds to wait for room on a cluster, for a lost node to be replaced or a new one to be added; five
    minutes are what a cloud takes to start a machine. A Ray started on this machine never grows."""
    grow_after: float = Field(default=60, ge=0)
    """Seconds that a group of an elastic run works before it may grow: growing costs some ten of them."""
    stall_timeout: float = Field(default=900, gt=0)
    """Seconds without a batch, or without an answer from the other workers, after which a worker counts as
    hung; longer than any validation, and than a store may be away."""

    strict: bool = False
    """Whether a warning of the checks at the door ends the run, where a dataset is prepared or has one."""
    accept: tuple[str, ...] = ()
    """Checks whose warnings `strict` lets pass, such as [near duplicates]: nobody mends an official split."""

    @field_validator("num_workers", mode="before")
    @classmethod
    def _is_a_number_or_a_range(cls, value: Any) -> Any:
        """One message for what would be several, one for each member of the union."""
        bounds = list(value) if isinstance(value, list | tuple) else [value, value]
        are_counts = all(isinstance(bound, int) and not isinstance(bound, bool) for bound in bounds)
        if not are_counts or len(bounds) != 2 or not 1 <= bounds[0] <= bounds[1]:
            raise ValueError("expected a number of workers from 1 on, or a range such as [1, 4]")
        return value

    @property
    def fewest_workers(self) -> int:
        """The smallest group that the run may have."""
        return self.num_workers if isinstance(self.num_workers, int) else self.num_workers[0]

    @property
    def most_workers(self) -> int:
        """The largest group that the run may have."""
        return self.num_workers if isinstance(self.num_workers, int) else self.num_workers[1]


def _on_ray(value: Any) -> Any:
    return {"kind": "ray", **value} if isinstance(value, dict) else value


RayByDefault = Annotated[LaunchConfig, BeforeValidator(_on_ray)]
"""A launch on Ray unless it says otherwise, also where only other settings of it are given."""


class StorageConfig(StrictModel):
    """Where datasets, runs and records are kept."""

    root: str = "results"
    """A folder, or s3://bucket/prefix with endpoint and keys from the usual AWS variables."""
