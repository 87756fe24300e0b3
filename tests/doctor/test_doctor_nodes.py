"""Nodes are compared with the driver and with each other: who differs is named, who is well is counted."""

import pickle
import time
from pathlib import Path

import pytest

from pointlab.doctor.comparison import agreement, clocks, condensed, presence
from pointlab.doctor.environment import versions
from pointlab.doctor.finding import Finding, failed, passed, warned
from pointlab.doctor.node import Questions, Report, report
from pointlab.errors import PointlabError
from pointlab.storage import Storage

OWN = {"python": "3.11.2", "ray": "2.60.0", "torch": "2.13.0", "pointlab": "0.1.0+a"}
NOW = 1_000_000.0


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
    silent, others = presence(1, {"10.0.0.2": PointlabError("10.0.0.2 is silent.", remedy="wake it")})
    assert (silent.verdict, silent.remedy) == ("failure", "wake it")
    assert others.verdict == "pass"
