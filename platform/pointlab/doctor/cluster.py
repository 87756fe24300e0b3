"""The cluster that this process is part of, or a Ray of its own: joined, and looked at from within."""

import importlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from pointlab.doctor.examination import Check, examine
from pointlab.doctor.exchange import Exchange
from pointlab.doctor.finding import Finding, passed, warned
from pointlab.doctor.nodes import Nodes
from pointlab.doctor.resources import Resources
from pointlab.experiment import LaunchConfig

USED = ("meeting", "search", "survey", "waiting")
"""What the checks below use of the engine, imported before them: Ray cannot be by two threads at once."""


@dataclass(frozen=True)
class Cluster:
    """That Ray can be joined, and then all that is asked of its nodes."""

    experiment: Any
    address: str
    """Of the store."""
    name: str = "cluster"
    seconds: float = 360.0

    def run(self) -> Iterator[Finding]:
        """Findings of its own, and those of the checks that need Ray."""
        for module in USED:
            importlib.import_module(f"pointlab.engine.{module}")
        from pointlab.engine.joining import join
        from pointlab.engine.session import is_joined

        yield passed(f"joined {join()}")
        launch = self.experiment.launch if self.experiment is not None else LaunchConfig(num_workers=2)
        checks: list[Check] = [Nodes(self.experiment, self.address), Exchange(launch)]
        if self.experiment is not None:
            checks.append(Resources(self.experiment))
            if launch.kind == "local" and is_joined():
                yield warned(
                    "launch.kind is local: the cluster would not be used, but one process of one node.",
                    "set launch.kind=ray to run on its workers",
                )
        yield from examine(checks)
