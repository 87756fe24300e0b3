"""Nodes are compared with the driver and with each other: who differs is named, who is well is counted."""

import pickle
import time
from pathlib import Path

import pytest

from pointlab.doctor.cluster import Cluster
from pointlab.doctor.comparison import agreement, clocks, condensed, presence
from pointlab.doctor.datasets import Datasets
from pointlab.doctor.environment import versions
from pointlab.doctor.exchange import Exchange
from pointlab.doctor.finding import Finding, failed, passed, warned
from pointlab.doctor.job import OnCluster
from pointlab.doctor.node import Questions, Report, report
from pointlab.doctor.nodes import Nodes
from pointlab.doctor.submission import Request
from pointlab.doctor.teachers import Teachers
from pointlab.engine.room import Node, labels
from pointlab.errors import PointlabError
from pointlab.experiment import LaunchConfig, load
from pointlab.launch.teachers import folders_in
from pointlab.storage import Storage

OWN = {"python": "3.11.2", "ray": "2.60.0", "torch": "2.13.0", "pointlab": "0.1.0+a"}
NOW = 1_000_000.0
CONFIGS = Path(__file__).resolve().parents[2] / "configs"


def of(*findings: Finding, clock: float = NOW, **changed: str) -> Report:
    return Report(OWN | changed, clock, findings)


def test_a_node_reports_on_its_store_its_disks_and_its_memory(tmp_path: Path) -> None:
    Storage(str(tmp_path)).write("doctor-1", b"written")
    questions = pickle.loads(pickle.dumps(Questions(str(tmp_path), "doctor-1", folders=("/nowhere",))))
    found = report(questions, "node-1", object_store=1.0)
    assert found.versions == versions()
    assert abs(found.clock - time.time()) < 60
    verdicts = {finding.check: finding.verdict for finding in found.findings}
    assert verdicts["storage"] == "pass"
    assert verdicts["source /nowhere"] == "failure"
    assert {"disk", "shared memory"} <= verdicts.keys()


def test_without_a_token_a_node_uses_the_store_by_itself(tmp_path: Path) -> None:
    found = report(Questions(str(tmp_path), ""), "node-1", object_store=1.0)
    assert found.findings[0].found.endswith("s")
    assert found.findings[0].verdict == "pass"
    assert list(tmp_path.iterdir()) == []


def test_nodes_of_other_versions_are_named() -> None:
    (finding,) = agreement(OWN, {"10.0.0.1": of(), "10.0.0.2": of(torch="2.12.0")})
    assert finding.verdict == "failure"
    assert finding.found == "10.0.0.2 has torch 2.12.0 instead of 2.13.0."
    (finding,) = agreement(OWN, {"10.0.0.1": of(), "10.0.0.2": of()})
    assert finding.verdict == "pass"


@pytest.mark.parametrize(
    ("clock", "verdict"),
    [
        (NOW + 1, "pass"),
        (NOW - 4, "pass"),
        (NOW + 30, "warning"),
        (NOW - 30, "warning"),
        (NOW + 700, "failure"),
        (NOW - 700, "failure"),
    ],
)
def test_a_clock_is_wrong_where_it_lies_outside_the_time_of_the_question(clock: float, verdict: str) -> None:
    (finding,) = clocks(NOW - 2, NOW + 2, {"10.0.0.1": of(), "10.0.0.2": of(clock=clock)})
    assert finding.verdict == verdict
    if verdict != "pass":
        assert ("ahead of" if clock > NOW else "behind") in finding.found
        assert f"{abs(clock - NOW) - 2:.0f} s" in finding.found


def test_equal_troubles_are_told_once_with_all_their_nodes() -> None:
    small = warned("too small", "mount more", "shared memory")
    reports = {
        "10.0.0.1": of(passed("64 GiB", "shared memory"), passed("there", "teacher x")),
        "10.0.0.2": of(small, passed("there", "teacher x")),
        "10.0.0.3": of(small, failed("gone", "bring it", "teacher x")),
    }
    memory, teacher = condensed(reports)
    assert memory.check == "nodes: shared memory"
    assert memory.found == "On 10.0.0.2, 10.0.0.3: too small"
    assert (teacher.verdict, teacher.remedy) == ("failure", "bring it")
    assert teacher.found == "On 10.0.0.3: gone"


def test_what_is_well_on_all_nodes_is_one_line() -> None:
    (finding,) = condensed({"10.0.0.1": of(passed("there", "x")), "10.0.0.2": of(passed("there", "x"))})
    assert finding == passed("all 2 nodes: there", "nodes: x")


def test_a_node_without_an_answer_is_a_failure() -> None:
    failing, others = presence(1, [PointlabError("10.0.0.2 is broken.", remedy="mend it")])
    assert (failing.verdict, failing.remedy) == ("failure", "mend it")
    assert (others.verdict, others.found) == ("pass", "1 of 2 nodes")


def test_a_node_that_the_driver_does_not_reach_is_a_failure_and_a_leaving_one_a_warning() -> None:
    silent, leaving, others = presence(2, [], ["10.0.0.3"], ["10.0.0.4"])
    assert (silent.verdict, leaving.verdict) == ("failure", "warning")
    assert "10.0.0.3" in silent.found
    assert "10.0.0.4" in leaving.found
    assert others.found == "2 of 4 nodes"


def test_a_cluster_without_any_answer_fails() -> None:
    (finding,) = presence(0, [])
    assert finding.verdict == "failure"
    assert finding.remedy


def test_nodes_at_one_address_have_names_of_their_own() -> None:
    nodes = [
        Node("a" * 56, "10.0.0.1", {}, {}),
        Node("b" * 56, "10.0.0.1", {}, {}),
        Node("c", "10.0.0.2", {}, {}),
    ]
    assert list(labels(nodes).values()) == ["10.0.0.1 (aaaaaaaa)", "10.0.0.1 (bbbbbbbb)", "10.0.0.2"]
    assert labels(nodes).keys() == {node.node_id for node in nodes}


def test_who_waits_allows_what_those_that_are_asked_may_take(tmp_path: Path) -> None:
    teacher = f"image_teacher={{kind: folder, path: /teacher, sha256: '{'0' * 64}'}}"
    experiment = load(CONFIGS / "pretrain" / "laptop" / "ppkt.yaml", [teacher])
    asked = Questions("", "", teachers=folders_in(experiment))
    assert asked.seconds > Teachers(asked.teachers).seconds > Questions("", "").seconds
    assert Nodes(experiment, "").seconds > asked.seconds
    assert Cluster(experiment, "").seconds > max(
        Nodes(experiment, "").seconds, Exchange(LaunchConfig()).seconds
    )
    shallow, deep = (OnCluster(Request("", tmp_path, None, deep=deep)).seconds for deep in (False, True))
    assert shallow > Cluster(experiment, "").seconds
    assert deep > Datasets(experiment, "", deep=True).seconds


def test_what_a_broken_check_left_in_the_store_is_taken_away(tmp_path: Path) -> None:
    with pytest.raises(AttributeError):
        list(Nodes(object(), str(tmp_path)).run())  # no experiment: it breaks once its file is written
    assert list(tmp_path.iterdir()) == []
