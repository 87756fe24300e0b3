"""The environment of a job's processes, as far as it is sent along: nothing that looks like a credential.

Ray keeps what is sent in its books and shows it to whoever may ask the cluster. Credentials are in the
environment of the cluster's own processes, where the nodes have them from a secret.
"""

import os
import re
from collections.abc import Collection, Sequence

from pointlab.errors import ConfigError
from pointlab.submission.source import SOURCE_ROOT, ships_package

SECRET_NAME = re.compile(
    r"TOKEN|SECRET|PASSW|PASSPHRASE|CREDENTIAL|KEYS?(_|$|ID)|(^|_)(AUTH|COOKIE|DSN|JWT|PASS|PAT|PIN|PWD|SAS)(_|$)",
    re.IGNORECASE,
)
SECRET_VALUE = re.compile(
    r"://[^/?#\s]*@"  # a URL with a user, and perhaps a password, before its host
    r"|(^|[\s;,?&])[\w-]*(password|passwd|pwd|token|secret|signature|sig|credential|(access|account|api)_?key)\s*="
    r"|-----BEGIN [A-Z ]*PRIVATE KEY",
    re.IGNORECASE,
)
SECONDS_TO_SAVE = 60
"""From SIGTERM to SIGKILL; Ray's own three seconds are short for a step, a checkpoint and its upload."""


def variables_for(shipped: Collection[str], names: Sequence[str] = ()) -> dict[str, str]:
    """What a job that gets these files has: where its package is, and the variables of these names.

    ConfigError for a name that is not set here, and for one that may be a credential, by itself or by its
    value.
    """
    source = {"PYTHONPATH": SOURCE_ROOT} if ships_package(shipped) else {}
    chosen = {name: _value_of(name) for name in names}
    return {**source, "RAY_JOB_STOP_WAIT_TIME_S": str(SECONDS_TO_SAVE), **chosen}


def _value_of(name: str) -> str:
    value = os.environ.get(name)
    if SECRET_NAME.search(name) or (value and SECRET_VALUE.search(value)):
        what = "may be" if SECRET_NAME.search(name) else "has a value that may hold"
        raise ConfigError(
            f"--env {name} {what} a credential, and Ray stores and shows what is sent along with a job.",
            expected="credentials in the environment of the cluster's own processes",
            remedy="set it where the nodes are started: a Secret on Kubernetes, `export` before `ray start`",
        )
    if value is None:
        raise ConfigError(
            f"--env {name} names a variable that is not set here.",
            expected="the name of a variable, whose value is taken from this process",
            remedy=f"export {name.partition('=')[0]}=... first",
        )
    return value
