"""What every node of a cluster is asked: a small doctor runs there, and tells what the driver compares.

It is sent to the node as it is, so nothing here may hold what belongs to the driver's process.
"""

import time
from collections.abc import Mapping
from dataclasses import dataclass, field

from pointlab.doctor.disk import Disk
from pointlab.doctor.environment import versions
from pointlab.doctor.examination import Check, examine, longest
from pointlab.doctor.finding import Finding
from pointlab.doctor.shared_memory import SharedMemory
from pointlab.doctor.sources import Sources
from pointlab.doctor.store import RoundTrip, Shared
from pointlab.doctor.teachers import Teachers
from pointlab.launch.teachers import AskedFolder

START_SECONDS = 60.0
"""For a process to start on a node, and to import torch there."""


@dataclass(frozen=True)
class Questions:
    """What is asked of each node. `token` is the file that the driver has left in the store, empty where it
    could not."""

    address: str
    token: str
    sets: Mapping[str, int] = field(default_factory=dict)
    folders: tuple[str, ...] = ()
    teachers: tuple[AskedFolder, ...] = ()

    @property
    def seconds(self) -> float:
        """For a node to start a process and end its longest check: an answer that comes late is none."""
        return START_SECONDS + longest(_checks(self, "", 0.0))


@dataclass(frozen=True)
class Report:
    """What a node found, and what it takes the time to be (seconds since 1970)."""

    versions: dict[str, str]
    clock: float
    findings: tuple[Finding, ...]


def report(questions: Questions, node_id: str, object_store: float) -> Report:
    """The report of the node that this runs on."""
    clock = time.time()
    return Report(versions(), clock, tuple(examine(_checks(questions, node_id, object_store))))


def _checks(questions: Questions, node_id: str, object_store: float) -> list[Check]:
    sees, token = questions.address, questions.token
    return [
        Shared(sees, token, node_id) if token else RoundTrip(sees),
        SharedMemory(object_store),
        Disk(sees, questions.sets),
        Sources(questions.folders),
        *([Teachers(questions.teachers)] if questions.teachers else []),
    ]
