"""On a Ray of this machine: its node is asked, two processes meet, and what has no room is refused."""

import time
from collections.abc import Callable
from pathlib import Path

import pytest

from conftest import tiny_pretrain
from pointlab.doctor.cluster import Cluster
from pointlab.doctor.resources import Resources
from pointlab.engine.jobs.job import SET_BY_RAY
from pointlab.storage import Storage
from tiny_search import tiny_search
from tiny_study import tiny_study

pytestmark = [pytest.mark.ray, pytest.mark.usefixtures("ray_session")]
ON_RAY = {"kind": "ray", "num_workers": 2, "cpus_per_worker": 0.1}


def test_a_ray_where_all_is_well(storage: Storage) -> None:
    before = sorted(Path(storage.address).iterdir())
    findings = list(Cluster(tiny_pretrain(storage, launch=ON_RAY), storage.address).run())
    found = {each.check: each for each in findings}
    assert "failure" not in {each.verdict for each in findings}, findings
    assert found["nodes: answer"].found == "1 node"
    assert found["nodes: versions"].verdict == "pass"
    assert found["nodes: storage"].verdict == "pass"
    assert "2 processes added up a number" in found["exchange over gloo"].found
    assert found["resources"].verdict == "pass"
    assert sorted(Path(storage.address).iterdir()) == before


def test_too_many_workers_are_refused_with_the_number_that_fits(storage: Storage) -> None:
    launch = ON_RAY | {"num_workers": 5000, "cpus_per_worker": 0.5}
    (finding,) = Resources(tiny_pretrain(storage, launch=launch)).run()
    assert finding.verdict == "failure"
    assert "launch.num_workers=" in finding.remedy


def test_one_process_needs_a_node_that_holds_it_only_as_a_job(
    storage: Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    check = Resources(tiny_pretrain(storage, launch={"kind": "local", "cpus_per_worker": 5000}))
    (here,) = check.run()
    monkeypatch.setenv(SET_BY_RAY, "{}")
    (there,) = check.run()
    assert (here.verdict, there.verdict) == ("pass", "failure")
    assert "One job needs 5000 CPUs on one node" in there.found
    (small,) = Resources(tiny_pretrain(storage, launch={"kind": "local", "cpus_per_worker": 0.1})).run()
    assert small.verdict == "pass"


def test_room_that_is_held_is_told_and_what_ends_meanwhile_gives_its_own_back(storage: Storage) -> None:
    import ray

    num_cpus = ray.cluster_resources()["CPU"]
    whole = {"kind": "ray", "num_workers": 1, "cpus_per_worker": num_cpus - 1}
    check = Resources(tiny_pretrain(storage, launch=whole))

    @ray.remote(num_cpus=num_cpus)
    def hold(seconds: float) -> None:
        time.sleep(seconds)

    holding = hold.remote(60)
    wait_until(lambda: ray.available_resources().get("CPU", 0) == 0)
    (held,) = check.run()
    ray.cancel(holding, force=True)
    wait_until(lambda: ray.available_resources().get("CPU", 0) == num_cpus)
    hold.remote(2)
    wait_until(lambda: ray.available_resources().get("CPU", 0) == 0)
    (given_back,) = check.run()
    assert (held.verdict, given_back.verdict) == ("warning", "pass")
    assert "leaves room for 0" in held.found


def wait_until(is_so: Callable[[], bool], seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < end, "it did not come to be"
        time.sleep(0.05)


def test_searches_and_studies_are_told_how_much_runs_at_a_time(storage: Storage) -> None:
    (trials,) = Resources(tiny_search(storage.address)).run()
    (runs,) = Resources(tiny_study(storage, launch={"kind": "ray"})).run()
    assert "of 3 trials at a time" in trials.found
    assert "runs at a time" in runs.found


def test_a_node_that_fails_and_one_that_is_slow_are_told() -> None:
    from pointlab.engine.room import Node, present_nodes
    from pointlab.engine.survey import UnansweredError, on_each_node

    def fail(node: Node) -> str:
        raise ModuleNotFoundError("No module named 'torch'")

    def dawdle(node: Node) -> str:
        time.sleep(60)
        return node.address

    nodes = present_nodes()
    node_id = nodes[0].node_id
    (failed,) = on_each_node(fail, nodes, 60).values()
    (late,) = on_each_node(dawdle, nodes, 2).values()
    assert isinstance(failed, UnansweredError)
    assert "No module named 'torch'" in failed.found
    assert isinstance(late, UnansweredError)
    assert "within 2 s" in late.found
    assert on_each_node(lambda node: node.address, nodes, 60) == {node_id: nodes[0].address}


def test_processes_that_cannot_start_are_told_from_those_that_do_not_meet() -> None:
    from pointlab.engine.meeting import NotStartedError, meet
    from pointlab.engine.room import present_nodes

    (node,) = present_nodes()
    with pytest.raises(NotStartedError, match=node.address) as caught:
        meet([node, node], "gloo", gpus=1000, seconds=3)
    assert "SOCKET_IFNAME" not in caught.value.remedy
