"""All nodes of a cluster are asked at once, and leave a sign in the store that the driver looks for."""

import functools
import secrets
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pointlab.data.dataset import find_prepared
from pointlab.doctor.comparison import agreement, clocks, condensed, presence
from pointlab.doctor.datasets import prepared_bytes, sets_of
from pointlab.doctor.environment import versions
from pointlab.doctor.finding import Finding, failed
from pointlab.doctor.node import Questions, Report, report
from pointlab.doctor.store import PATIENCE, PREFIX, existing
from pointlab.errors import PointlabError, StorageError
from pointlab.launch.teachers import folders_in
from pointlab.storage import Storage

if TYPE_CHECKING:
    from pointlab.engine.room import Node

ANSWER_SECONDS = 120.0
"""For a node to start a process, import torch, look at itself and hash the weights of teachers."""


@dataclass(frozen=True)
class Nodes:
    """Every node that answers: versions, store, clocks, disks, shared memory, sources, teachers."""

    experiment: Any
    address: str
    name: str = "nodes"
    seconds: float = ANSWER_SECONDS + 60.0

    def run(self) -> Iterator[Finding]:
        """A finding for each aspect, which names the nodes that are not well."""
        from pointlab.engine.room import present_nodes
        from pointlab.engine.survey import on_each_node

        nodes, shared = present_nodes(), Storage(existing(self.address), PATIENCE)
        token = _token(shared)
        questions = self._questions(shared, token)
        began = time.time()
        answers = on_each_node(functools.partial(_ask, questions), nodes, ANSWER_SECONDS)
        ended = time.time()
        reports = {address: each for address, each in answers.items() if isinstance(each, Report)}
        errors = {address: each for address, each in answers.items() if isinstance(each, PointlabError)}
        yield from presence(len(reports), errors)
        yield from agreement(versions(), reports)
        yield from clocks(began, ended, reports)
        yield from condensed(reports)
        if token:
            written = {node.address: f"{token}.{node.node_id}" for node in nodes}
            yield from _unseen(shared, token, written, reports)

    def _questions(self, shared: Storage, token: str) -> Questions:
        if self.experiment is None:
            return Questions(shared.address, token)
        storage = Storage(self.address, PATIENCE)
        is_parallel = self.experiment.launch.kind == "ray"
        return Questions(
            shared.address,
            token,
            prepared_bytes(self.experiment, storage),
            tuple(_folders_to_read(self.experiment, storage)) if is_parallel else (),
            folders_in(self.experiment),
        )


def _ask(questions: Questions, node: "Node") -> Report:
    return report(questions, node.node_id, node.total.get("object_store_memory", 0))


def _token(storage: Storage) -> str:
    """A file that the driver has left in the store; empty where that cannot be."""
    token = f"{PREFIX}{secrets.token_hex(8)}"
    try:
        storage.write(token, b"written")
    except StorageError:
        return ""  # the driver's own check of the store tells why
    return token


def _folders_to_read(experiment: Any, storage: Storage) -> Iterator[str]:
    """Source folders of the sets that would be prepared on the nodes."""
    for config in sets_of(experiment):
        try:
            is_prepared = find_prepared(config, storage) is not None
        except PointlabError:
            is_prepared = False
        if config.root_path is not None and not is_prepared:
            yield str(config.root_path)


def _unseen(
    storage: Storage, token: str, written: Mapping[str, str], reports: Mapping[str, Report]
) -> Iterator[Finding]:
    """Nodes that wrote where the driver does not see it; the files of all are taken away."""
    try:
        seen = [name for name in storage.files("") if name.startswith(token)]
        for name in seen:
            storage.delete_file(name)
    except StorageError:
        return  # the driver's own check of the store tells why
    for address, each in reports.items():
        has_written = any(one.check == "storage" and one.verdict == "pass" for one in each.findings)
        if has_written and written[address] not in seen:
            yield failed(
                f"The driver does not see what {address} wrote to {storage.address}.",
                "give both the same AWS_ENDPOINT_URL, or the same folder",
                "nodes: storage",
            )
