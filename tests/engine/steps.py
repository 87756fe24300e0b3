"""Experiments of a study to which something happens: what the tests of a study on Ray carry out."""

import os
import signal
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pointlab.errors import PreemptedError
from pointlab.experiment.resolve import Resolved
from pointlab.storage import Record, Storage


def record_of(resolved: Resolved[Any]) -> Record:
    experiment = resolved.experiment
    return Record(
        run=resolved.run,
        kind=experiment.kind,
        name=experiment.name,
        seed=experiment.seed,
        protocol=experiment.stamp,
        config={},
        code_version="",
        metrics={"test/accuracy": 0.5},
    )


@dataclass(frozen=True)
class DiesOnce:
    """Takes its process away at the first experiment, and leaves `scar`."""

    scar: Path

    def __call__(self, resolved: Resolved[Any], storage: Storage, stop: threading.Event) -> Record:
        if not self.scar.exists():
            self.scar.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return record_of(resolved)


@dataclass(frozen=True)
class WorksUntilAsked:
    """Touches `started`, and `saved` when it is asked to end."""

    started: Path
    saved: Path

    def __call__(self, resolved: Resolved[Any], storage: Storage, stop: threading.Event) -> Record:
        self.started.touch()
        if stop.wait(60):
            self.saved.touch()
            raise PreemptedError("Saved.")
        return record_of(resolved)
