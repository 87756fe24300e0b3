"""The cluster that this process is part of, or a Ray of its own: joined, and looked at from within."""

import importlib
from collections.abc import Iterator
from dataclasses import dataclass

from pointlab.doctor.examination import Check, OfExperiment, examine, longest
from pointlab.doctor.exchange import Exchange
from pointlab.doctor.finding import Finding, passed, warned
from pointlab.doctor.nodes import Nodes
from pointlab.doctor.resources import Resources
from pointlab.experiment import LaunchConfig

USED = ("meeting", "search", "survey", "waiting")
"""What the checks below use of the engine, imported before them: Ray cannot be by two threads at once."""


JOINING_SECONDS = 60.0
"""For Ray to be imported, and for a head or a Ray of our own to answer."""


@dataclass(frozen=True)
class Cluster(OfExperiment):
    """That Ray can be joined, and then all that is asked of its nodes."""

    name: str = "cluster"

    @property
    def seconds(self) -> float:
        """For joining, and the longest check of what is joined."""
        return JOINING_SECONDS + longest(self._checks())

    @property
    def leads_to(self) -> tuple[str, ...]:
        """What is asked of a cluster that was joined."""
        return tuple(check.name for check in self._checks())

    def run(self) -> Iterator[Finding]:
        """Findings of its own, and those of the checks that need Ray."""
        for module in USED:
            importlib.import_module(f"pointlab.engine.{module}")
        from pointlab.engine.session import connect, is_joined, whereabouts

        connect()
        yield passed(f"joined {whereabouts()}")
        if self.experiment is not None and self.experiment.launch.kind == "local" and is_joined():
            yield warned(
                "launch.kind is local: the cluster would not be used, but one process of one node.",
                "set launch.kind=ray to run on its workers",
            )
        yield from examine(self._checks())

    def _checks(self) -> list[Check]:
        if self.experiment is None:
            return [Nodes(None, self.address), Exchange(LaunchConfig(num_workers=2))]
        launch = self.experiment.launch
        return [Nodes(self.experiment, self.address), Exchange(launch), Resources(self.experiment)]
