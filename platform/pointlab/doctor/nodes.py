"""All nodes of a cluster are asked at once, and leave a sign in the store that the driver looks for."""

import functools
import itertools
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pointlab.doctor.comparison import agreement, clocks, condensed, presence
from pointlab.doctor.environment import versions
from pointlab.doctor.examination import OfExperiment
from pointlab.doctor.finding import Finding, failed
from pointlab.doctor.needs import needs_of
from pointlab.doctor.node import Questions, Report, report
from pointlab.doctor.store import PATIENCE, existing
from pointlab.doctor.traces import clear, new_token
from pointlab.errors import PointlabError, StorageError
from pointlab.launch.teachers import AskedFolder, folders_in
from pointlab.storage import Storage

if TYPE_CHECKING:
    from pointlab.engine.room import Node

OWN_SECONDS = 120.0
"""For what the driver does beside asking: it looks up sets, and looks for what the nodes have written."""


@dataclass(frozen=True)
class Nodes(OfExperiment):
    """Every node of the cluster: its answer, versions, store, clocks, disks, memory, sources, teachers."""

    name: str = "nodes"

    @property
    def seconds(self) -> float:
        """For the driver's own part and the nodes' answers."""
        return OWN_SECONDS + Questions(self.address, "", teachers=self._teachers()).seconds

    def run(self) -> Iterator[Finding]:
        """A finding for each aspect, which names the nodes that are not well."""
        shared = Storage(existing(self.address), PATIENCE)
        token = _token(shared)
        try:
            yield from self._compared(shared, token)
        finally:
            if token:
                clear(shared, token)

    def _compared(self, shared: Storage, token: str) -> Iterator[Finding]:
        from pointlab.engine.room import labels, nodes_by_standing
        from pointlab.engine.survey import on_each_node

        questions, standing = self._questions(shared, token), nodes_by_standing()
        called = labels(itertools.chain(*standing.values()))
        began = time.time()
        answers = on_each_node(functools.partial(_ask, questions), standing["present"], questions.seconds)
        ended = time.time()
        reports = {called[name]: each for name, each in answers.items() if isinstance(each, Report)}
        errors = [each for each in answers.values() if isinstance(each, PointlabError)]
        silent, leaving = ([called[node.node_id] for node in standing[how]] for how in ("silent", "leaving"))
        yield from presence(len(reports), errors, silent, leaving)
        yield from agreement(versions(), reports)
        yield from clocks(began, ended, reports)
        yield from condensed(reports)
        if token:
            yield from _unseen(shared, token, {called[name]: name for name in answers}, reports)

    def _questions(self, shared: Storage, token: str) -> Questions:
        if self.experiment is None:
            return Questions(shared.address, token)
        needs = needs_of(self.experiment, Storage(self.address, PATIENCE))
        folders = needs.folders if self.experiment.launch.kind == "ray" else ()
        return Questions(shared.address, token, needs.sets, folders, self._teachers())

    def _teachers(self) -> tuple[AskedFolder, ...]:
        return () if self.experiment is None else folders_in(self.experiment)


def _ask(questions: Questions, node: "Node") -> Report:
    return report(questions, node.node_id, node.total.get("object_store_memory", 0))


def _token(storage: Storage) -> str:
    """A file that the driver has left in the store; empty where that cannot be."""
    token = new_token()
    try:
        storage.write(token, b"written")
    except StorageError:
        return ""  # the driver's own check of the store tells why
    return token


def _unseen(
    storage: Storage, token: str, ids: Mapping[str, str], reports: Mapping[str, Report]
) -> Iterator[Finding]:
    """Nodes that wrote where the driver does not see it."""
    try:
        seen = storage.files("")
    except StorageError:
        return  # the driver's own check of the store tells why
    for node, each in reports.items():
        has_written = any(one.check == "storage" and one.verdict == "pass" for one in each.findings)
        if has_written and f"{token}.{ids[node]}" not in seen:
            yield failed(
                f"The driver does not see what {node} wrote to {storage.address}.",
                "give both the same AWS_ENDPOINT_URL, or the same folder",
                "nodes: storage",
            )
