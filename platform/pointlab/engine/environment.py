"""The environment that Ray and our workers need: set here, and nowhere else."""

import json
import os
from pathlib import Path

import pointlab

DRIVER = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_AUTH_MODE": "token",  # explicit, as the driver, its cluster and its workers must agree
    "RAY_DATA_DISABLE_PROGRESS_BARS": "1",
    "RAY_TRAIN_ENABLE_PRINT_PATCH": "0",
    "RAY_TRAIN_HEALTH_CHECK_INTERVAL_S": "0.5",
    "RAY_TRAIN_WORKER_GROUP_START_TIMEOUT_S": "30",  # room is found beforehand; longer means it is gone
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "RAY_AIR_NEW_OUTPUT": "0",
}
"""What this process sets before ray is imported, unless the user has set it already."""

WORKERS = {
    "RAY_DATA_DISABLE_PROGRESS_BARS": "1",
    "TORCH_PROCESS_GROUP_SHUTDOWN_TIMEOUT_S": "5",  # a group with a hung worker is not worth more
    # object stores other than AWS refuse the checksums that newer SDKs add unasked
    "AWS_REQUEST_CHECKSUM_CALCULATION": "when_required",
    "AWS_RESPONSE_CHECKSUM_VALIDATION": "when_required",
}
"""What every worker gets."""

PASSED_ON = (
    "POINTLAB_CACHE",
    "POINTLAB_CACHE_BYTES",
    "POINTLAB_STORAGE_PATIENCE",
    "POINTLAB_STORAGE_TIMEOUT",
)
"""What workers get from the driver. Never a credential: Ray stores and shows what is passed on like this, so
those are in the environment of the cluster's own processes (a Ray started here inherits this one's)."""


def set_up() -> None:
    """Complete this process's environment."""
    for name, value in DRIVER.items():
        os.environ.setdefault(name, value)


def of_workers() -> dict[str, str]:
    """The variables of a worker's runtime environment."""
    variables = WORKERS | {name: os.environ[name] for name in PASSED_ON if name in os.environ}
    source = source_root()
    if source is not None:
        variables["PYTHONPATH"] = os.pathsep.join(filter(None, [source, os.environ.get("PYTHONPATH")]))
    sent_along = variables_of_the_job()
    return {name: value for name, value in variables.items() if name not in sent_along}


def variables_of_the_job() -> dict[str, str]:
    """What a submitted job brought along: its workers have that already, and Ray wants nothing told twice."""
    job = json.loads(os.environ.get("RAY_JOB_CONFIG_JSON_ENV_VAR", "{}"))
    return dict(job.get("runtime_env", {}).get("env_vars", {}))


def source_root() -> str | None:
    """Folder that workers must have on their path, or None where pointlab is installed with its packages.

    Inside a submitted job it is relative, as each node unpacks the job's files to a folder of its own.
    """
    root = Path(pointlab.__file__).resolve().parents[1]
    if "site-packages" in root.parts:
        return None
    here = Path.cwd().resolve()
    is_unpacked = "_ray_pkg_" in str(root) and root.is_relative_to(here)
    return str(root.relative_to(here) if is_unpacked else root)
