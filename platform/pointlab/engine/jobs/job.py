"""A job as it is asked for, and as the cluster knows it."""

import os
import re
import signal
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

TAIL = re.compile(r"Job entrypoint command\s+failed with exit code.*last available logs[^\n]*:\n", re.DOTALL)
"""What Ray puts before the last lines of a failed job's log."""
SET_BY_RAY = "RAY_JOB_CONFIG_JSON_ENV_VAR"
"""In the environment of a submitted job's command."""


@dataclass(frozen=True)
class Order:
    """A command to run on the cluster, in a copy of `folder` and with these variables.

    `name` is that of its jobs. `cpus` and `gpus` are reserved for the command itself; without, it runs on the
    head and reserves nothing, as it should where all the work is done by others.
    """

    name: str
    command: str
    folder: Path | None = None
    variables: Mapping[str, str] = field(default_factory=dict)
    cpus: float = 0
    gpus: float = 0


@dataclass(frozen=True)
class Job:
    """What the cluster knows of a job; `exit_code` once its command has ended."""

    id: str
    state: str
    message: str = ""
    exit_code: int | None = None
    command: str = ""

    @property
    def is_over(self) -> bool:
        """Whether nothing more will come."""
        return self.state in {"SUCCEEDED", "FAILED", "STOPPED"}

    @property
    def status(self) -> int:
        """The exit status of its command as a shell would have it; 143 (SIGTERM) if it was stopped."""
        if self.state == "SUCCEEDED":
            return 0
        if self.state == "STOPPED":
            return 128 + signal.SIGTERM
        code = self.exit_code or 1
        return code if code > 0 else 128 - code

    @property
    def last_words(self) -> str:
        """Why it failed: the last lines of its log, or what kept it from starting."""
        return TAIL.sub("", self.message).strip()

    def attempt_at(self, name: str) -> int:
        """Which job of this name it is, from 1 on; 0 if it is none."""
        if self.id == name:
            return 1
        stem, _, number = self.id.rpartition("-")
        return int(number) if stem == name and number.isdecimal() else 0


def next_id(name: str, attempts: int) -> str:
    """What the job after so many of this name is called: `name`, `name-2`, `name-3`."""
    return name if attempts == 0 else f"{name}-{attempts + 1}"


def is_job() -> bool:
    """Whether this process is the command of a submitted job, or comes from one."""
    return SET_BY_RAY in os.environ
