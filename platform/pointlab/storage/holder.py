"""The process that holds a lease: how people recognise it, and whether it is certain to be gone.

What `proc(5)` tells is compared, for which the reader must see the same processes: same machine since its
start (boot id) and same process namespace. Systems without `/proc` can never be certain.
"""

import os
import socket
from datetime import UTC, datetime
from pathlib import Path

from pydantic import BaseModel, ConfigDict, PositiveInt

_PROC = Path("/proc")


class Holder(BaseModel):
    """A process, in terms that another process can check; `since` and `description` are for people only."""

    model_config = ConfigDict(frozen=True)
    host: str
    pid: PositiveInt
    since: str
    description: str = ""
    machine: str = ""
    """Boot id and process namespace, in which `pid` has its meaning; empty where the system does not say."""
    started: str = ""
    """Ticks from the machine's start to the process's: numbers of processes are used again, these are not."""

    def __str__(self) -> str:
        what = f" ({self.description})" if self.description else ""
        return f"process {self.pid} on {self.host}{what}, since {self.since}"

    def is_gone(self) -> bool:
        """Whether this process has certainly ended; False as well where that can't be known from here."""
        if not self.machine or (self.host, self.machine) != (socket.gethostname(), _machine()):
            return False
        try:
            os.kill(self.pid, 0)  # sends nothing; sees processes that /proc may hide from other users
        except ProcessLookupError:
            return True
        except PermissionError:
            pass
        try:
            return _start(self.pid) != self.started
        except OSError:
            return False


def this_process(description: str = "") -> Holder:
    """The calling process, from now on."""
    machine = _machine()
    return Holder(
        host=socket.gethostname(),
        pid=os.getpid(),
        since=datetime.now(UTC).isoformat(" ", "seconds"),
        description=description,
        machine=machine,
        started=_start(os.getpid()) if machine else "",
    )


def _machine() -> str:
    try:
        boot = (_PROC / "sys/kernel/random/boot_id").read_text().strip()
        return f"{boot} {(_PROC / 'self/ns/pid').readlink()}"
    except OSError:
        return ""


def _start(pid: int) -> str:
    """Start time in ticks, field 22 of `/proc/<pid>/stat`; nothing for a process that only awaits burial."""
    # the second field is the program's name in brackets and may hold spaces and brackets itself
    fields = (_PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()
    state, start = fields[0], fields[19]
    return "" if state in {"Z", "X"} else start
