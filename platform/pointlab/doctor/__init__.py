"""The doctor: what would fail on a cluster is found in seconds, with its cause and its remedy.

A check is a small class with a name, a limit of seconds and a `run` that yields findings. Where an experiment
would run in this process or on the cluster that this process is part of, all checks run here; where it would
be submitted, what is sent is looked at here, and all else by the same doctor as a job of that cluster.
"""

import importlib
import os
from typing import Any

from pointlab.doctor.cluster import Cluster
from pointlab.doctor.datasets import Datasets
from pointlab.doctor.disk import DiskFor
from pointlab.doctor.environment import Environment, versions
from pointlab.doctor.examination import Check, examine, names_of
from pointlab.doctor.finding import Diagnosis, Finding, diagnosis_of, of_error, unseen
from pointlab.doctor.job import OnCluster
from pointlab.doctor.store import RoundTrip
from pointlab.doctor.submission import Package, Request
from pointlab.doctor.teachers import Teachers
from pointlab.launch.teachers import folders_in


def checks_here(experiment: Any, address: str, *, deep: bool = False) -> list[Check]:
    """What is looked at where an experiment (None: any) would be started, with its store at `address`.

    Of the nodes of a cluster this process's own is one, so that its disks are looked at with theirs.
    """
    checks: list[Check] = [Environment(), RoundTrip(address)]
    if experiment is not None:
        checks.append(Datasets(experiment, address, deep))
    is_on_ray = experiment is not None and experiment.launch.kind == "ray"
    if is_on_ray or os.environ.get("RAY_ADDRESS"):
        return [*checks, Cluster(experiment, address)]
    teachers = [Teachers(folders_in(experiment))] if experiment is not None else []
    return [*checks, DiskFor(experiment, address), *teachers]


def checks_from_outside(request: Request) -> list[Check]:
    """What is looked at where an experiment would be submitted to a cluster that runs elsewhere."""
    importlib.import_module("pointlab.engine.jobs.server")  # Ray cannot be imported by two threads at once
    return [Environment(), Package(request), OnCluster(request)]


__all__ = [
    "Check",
    "Diagnosis",
    "Finding",
    "Request",
    "checks_from_outside",
    "checks_here",
    "diagnosis_of",
    "examine",
    "names_of",
    "of_error",
    "unseen",
    "versions",
]
