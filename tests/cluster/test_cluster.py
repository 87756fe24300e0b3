"""Rows: a run over two nodes goes on by itself when one of them is lost, replaced, or not replaced."""

import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch

from cluster.namespaces import has_namespaces
from cluster.two_nodes import HEAD, TwoNodes, two_nodes
from fault_table import add_row
from faults.scene import Scene, assert_as_undisturbed, copied
from pointlab.experiment.stored_models import read_module
from pointlab.storage import Storage
from ray_nodes import wait_until
from s3_server import S3Server

pytestmark = pytest.mark.cluster
HEAD_CPUS, OTHER_CPUS = 3, 2
WORKER_CPUS = 2
"""So there is one worker on each node, and on the head a CPU for data."""
PATIENCE = 300.0
TRAINING = {"epochs": 60, "checkpoint_every": 20, "validate_every": 20}
SURVIVED = "went on by itself from the newest checkpoint"


@dataclass(frozen=True)
class Cluster:
    """The nodes, and a store in the head's namespace that is reached from both."""

    nodes: TwoNodes
    bucket: str
    prepared: Path

    def scene(self, name: str, folder: Path, launch: dict[str, Any], **training: Any) -> Scene:
        """An experiment in a part of the store that is its own."""
        storage = Storage(f"{self.bucket}/{name}")
        copied(self.prepared, storage)
        launch = {"kind": "ray", "cpus_per_worker": WORKER_CPUS, **launch}
        return Scene(storage, folder, {"launch": launch, "training": {**TRAINING, **training}})


@pytest.fixture(scope="module")
def cluster(prepared_root: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """Both nodes and the store. This process is in the head's namespace, where it reaches the store.

    So are threads that it makes meanwhile, for good: these tests run in a pytest of their own.
    """
    assert has_namespaces(), "two nodes on one machine need root and network namespaces (iproute2)"
    with pytest.MonkeyPatch.context() as patch, two_nodes() as nodes, nodes.entered():
        server = S3Server(tmp_path_factory.mktemp("server"), HEAD)
        server.start()
        server.make_bucket("cluster")
        nodes.start_head(HEAD_CPUS, server.environment())
        own = {"RAY_ADDRESS": nodes.address, "RAY_TRAIN_PREEMPTION_POLL_INTERVAL_S": "1"}
        for name, value in {**server.environment(), **own}.items():
            patch.setenv(name, value)
        try:
            yield Cluster(nodes, "s3://cluster", prepared_root)
        finally:
            server.stop()


@pytest.fixture
def whole(cluster: Cluster) -> Cluster:
    """The cluster with its second node there."""
    cluster.nodes.lose()
    cluster.nodes.join(OTHER_CPUS)
    return cluster


@pytest.fixture(scope="module")
def on_both(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Scene:
    """The undisturbed run over both nodes."""
    cluster.nodes.lose()
    cluster.nodes.join(OTHER_CPUS)
    scene = cluster.scene("undisturbed", tmp_path_factory.mktemp("undisturbed"), {"num_workers": 2})
    assert scene.run() == 0, scene.said()
    return scene


def heard(scene: Scene, text: str, process: subprocess.Popen[bytes]) -> None:
    """Wait until the run has said `text`."""
    wait_until(lambda: text in scene.said() or process.poll() is not None, PATIENCE, scene.said)
    assert text in scene.said(), scene.said()


def test_two_nodes_train_as_one_process_with_two_micro_batches(
    on_both: Scene, cluster: Cluster, tmp_path: Path
) -> None:
    alone = cluster.scene("alone", tmp_path, {"kind": "local"}, accumulation=2)
    assert alone.run() == 0, alone.said()
    assert "(2 workers x 1 micro-batches)" in on_both.said()
    for module in ("backbone", "head"):
        one, other = (read_module(scene.storage, scene.name, module) for scene in (alone, on_both))
        for name in one:
            if not name.rpartition(".")[2].startswith(("running_", "num_batches")):
                assert torch.equal(one[name], other[name]), name
    assert alone.books.read_samples() == on_both.books.read_samples()


def test_a_lost_node_that_is_replaced(on_both: Scene, whole: Cluster, tmp_path: Path) -> None:
    scene = whole.scene("replaced", tmp_path, {"num_workers": 2})
    with scene.start() as process:
        scene.interrupted(process, whole.nodes.lose, step=40)
        heard(scene, "Waiting for room", process)
        whole.nodes.join(OTHER_CPUS)
        assert process.wait(PATIENCE) == 0, scene.said()
    assert "going on from step" in scene.said()
    assert_as_undisturbed("node loss, node return", "two nodes, S3", SURVIVED, scene, on_both.ending())


def test_a_lost_node_that_comes_back_later_to_an_elastic_run(
    on_both: Scene, whole: Cluster, tmp_path: Path
) -> None:
    launch = {"num_workers": [1, 2], "grow_after": 1}
    scene = whole.scene(
        "elastic", tmp_path, launch, epochs=240
    )  # one worker is not to end before there are two
    with scene.start() as process:
        scene.interrupted(process, whole.nodes.lose, step=40)
        heard(scene, "(1 workers x 1 micro-batches)", process)
        whole.nodes.join(OTHER_CPUS)
        heard(scene, "there is room for more than 1 workers", process)
        assert process.wait(PATIENCE) == 0, scene.said()
    assert_samples_go_on(scene, on_both)
    add_row("node loss, elastic", "two nodes, S3", "went on with one worker, then with two; same samples")


def test_a_node_that_is_asked_to_leave(on_both: Scene, whole: Cluster, tmp_path: Path) -> None:
    scene = whole.scene("leaving", tmp_path, {"num_workers": [1, 2]}, epochs=240, checkpoint_every=1000)
    with scene.start() as process:
        scene.interrupted(process, whole.nodes.retire, step=60)
        heard(scene, "a node is about to leave; going on from step", process)
        heard(scene, "(1 workers x 1 micro-batches)", process)
        assert process.wait(PATIENCE) == 0, scene.said()
    assert_samples_go_on(scene, on_both)
    add_row("node SIGTERM", "two nodes, S3", "saved, left that node in time and went on; same samples")


def assert_samples_go_on(longer: Scene, shorter: Scene) -> None:
    """The longer run begins with the samples of the shorter; each of its epochs has every sample once."""
    samples, begun = longer.ending().samples, shorter.books.read_samples()
    assert samples[: len(begun)] == begun
    stream = [identity for step in samples for identity in step]
    size = len(set(stream))
    for first in range(0, len(stream), size):
        assert len(set(stream[first : first + size])) == size
