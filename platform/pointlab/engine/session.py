"""One Ray session for everything: joined if there is a cluster, started on this machine if not."""

import logging
import os
from collections.abc import Mapping

import ray
import ray.data

from pointlab.engine.environment import of_workers
from pointlab.errors import ResourceError


def connect() -> None:
    """Connect this process to Ray, once; a cluster that was started here ends with the process."""
    if not ray.is_initialized():
        ray.init(
            address="auto" if os.environ.get("RAY_ADDRESS") else "local",
            runtime_env={"env_vars": of_workers()},
            log_to_driver=False,
            logging_level=logging.ERROR,
        )


def quiet_ray_data() -> ray.data.DataContext:
    """This process's Ray Data settings, with progress and plan left to the log files."""
    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = False
    logging.getLogger("ray.data").setLevel(logging.ERROR)
    return context


def require(needed: Mapping[str, float], purpose: str, remedy: str) -> None:
    """Refuse, instead of waiting for ever, what the cluster can never start; ResourceError says what fits."""
    cluster = ray.cluster_resources()
    for resource, amount in needed.items():
        available = cluster.get(resource, 0)
        if amount > available:
            raise ResourceError(
                f"{purpose} needs {amount:g} {resource}s, and this cluster has {available:g}.", remedy=remedy
            )
