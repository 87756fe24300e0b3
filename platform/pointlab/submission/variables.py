"""The environment of a job's processes, as far as it is sent along: never a credential.

Ray keeps what is sent in its books and shows it to whoever may ask the cluster. Credentials are in the
environment of the cluster's own processes, where the nodes have them from a secret.
"""

import os
import re
from collections.abc import Sequence
from pathlib import Path

from pointlab.errors import ConfigError

SOURCE_ROOT = "platform"
CREDENTIAL = re.compile(r"^AWS_|^RAY_AUTH|TOKEN|SECRET|PASSW|CREDENTIAL|(^|_)KEYS?(_|$)", re.IGNORECASE)
SECONDS_TO_SAVE = 60
"""From SIGTERM to SIGKILL; Ray's own three seconds are short for a step, a checkpoint and its upload."""


def variables_for(folder: Path, names: Sequence[str] = ()) -> dict[str, str]:
    """What a job in a copy of `folder` gets: where its package is, and the variables of these names.

    ConfigError for a name that is not set here, or that may be a credential.
    """
    source = {"PYTHONPATH": SOURCE_ROOT} if ships_package(folder) else {}
    chosen = {name: _value_of(name) for name in names}
    return {**source, "RAY_JOB_STOP_WAIT_TIME_S": str(SECONDS_TO_SAVE), **chosen}


def ships_package(folder: Path) -> bool:
    """Whether the folder holds pointlab's source; otherwise the job runs what the cluster has installed."""
    return (folder / SOURCE_ROOT / "pointlab" / "__init__.py").is_file()


def _value_of(name: str) -> str:
    if CREDENTIAL.search(name):
        raise ConfigError(
            f"--env {name} may be a credential, and Ray stores and shows what is sent along with a job.",
            expected="credentials in the environment of the cluster's own processes",
            remedy="set it where the nodes are started: a Secret on Kubernetes, `export` before `ray start`",
        )
    if name not in os.environ:
        raise ConfigError(
            f"--env {name} names a variable that is not set here.",
            expected="the name of a variable, whose value is taken from this process",
            remedy=f"export {name.partition('=')[0]}=... first",
        )
    return os.environ[name]
