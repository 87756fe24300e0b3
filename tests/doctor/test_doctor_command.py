"""`pointlab doctor`: a table for people, a line of JSON for programs, and an exit code for both."""

import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from conftest import PRETRAIN
from doctor.test_doctor_store import dead_endpoint
from pointlab.doctor import Diagnosis, Finding, examine
from pointlab.doctor.environment import versions
from pointlab.doctor.job import OnCluster, asked_for_token, stopped_after, told
from pointlab.doctor.submission import Package, Request
from pointlab.engine.jobs.job import Job
from pointlab.engine.jobs.server import JobServer
from pointlab.errors import ClusterError
from pointlab.interruption import EXIT_CODE
from ray_nodes import wait_until
from submission.small_server import SmallServer
from test_cli import Command, desk, pointlab, write_config

__all__ = ["desk", "pointlab"]  # the fixtures
INTERRUPTED = """
import sys, threading
from pointlab.doctor.job import stopped_after
from pointlab.engine.jobs.server import JobServer
server, follows = JobServer(sys.argv[1]), threading.Event()

def follow():
    with stopped_after(server, "doctor-1", 600):
        follows.set()
        threading.Event().wait()

threading.Thread(target=follow, daemon=True).start()
follows.wait()
raise KeyboardInterrupt
"""


@pytest.fixture(autouse=True)
def _no_cluster(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RAY_ADDRESS", raising=False)


def test_a_machine_where_all_is_well_passes(pointlab: Command, desk: Path) -> None:
    ended = pointlab("doctor", desk / "pretrain.yaml", "--root", desk / "store", "--json")
    assert ended.code == 0, ended.output
    diagnosis = Diagnosis.model_validate_json(ended.output)
    assert diagnosis.passed
    assert diagnosis.versions == versions()
    assert {"environment", "storage", "dataset shapes", "disk"} <= {each.check for each in diagnosis.findings}


def test_a_damaged_set_fails_and_the_table_says_what_to_do(pointlab: Command, desk: Path) -> None:
    next((desk / "store" / "datasets").glob("shapes-*/train-*.parquet")).unlink()
    ended = pointlab("doctor", desk / "pretrain.yaml", "--root", desk / "store")
    assert ended.code == 1
    assert "dataset shapes" in ended.output
    assert "What to do:" in ended.output
    assert "1 failure" in ended.last_line


def test_a_mistake_in_the_config_is_a_finding(pointlab: Command, tmp_path: Path) -> None:
    config = write_config(tmp_path, PRETRAIN)
    ended = pointlab("doctor", config, "--set", "sed=1", "--json")
    assert ended.code == 1
    finding, *others = json.loads(ended.output)["findings"]
    assert finding["check"] == "config"
    assert "did you mean 'seed'?" in finding["found"]
    assert {each["verdict"] for each in others} == {"skipped"}
    assert {"storage", "datasets"} <= {each["check"] for each in others}


def test_without_a_config_the_machine_alone_is_looked_at(pointlab: Command, tmp_path: Path) -> None:
    ended = pointlab("doctor", "--root", tmp_path / "store")
    assert ended.code == 0
    assert not (tmp_path / "store").exists()


@pytest.mark.parametrize("options", [("--set", "seed=1"), ("--deep",), ("--deep", "--set", "seed=1")])
def test_what_concerns_an_experiment_is_refused_without_one(
    pointlab: Command, tmp_path: Path, options: tuple[str, ...]
) -> None:
    ended = pointlab("doctor", "--root", tmp_path / "store", *options)
    assert ended.code == 2
    assert options[0] in ended.complaint
    assert "without a config" in ended.complaint


def test_a_cluster_without_a_store_to_look_at_is_an_error(pointlab: Command, project: Path) -> None:
    where = ("--address", dead_endpoint(), "--working-dir", project)
    ended = pointlab("doctor", *where)
    assert ended.code == 2
    assert "give one with --root" in ended.complaint
    assert pointlab("doctor", *where, "--root", "s3://bucket/prefix").code == 1  # nobody is there


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A folder to submit from."""
    folder = tmp_path / "project"
    folder.mkdir()
    write_config(folder, PRETRAIN)
    return folder


def test_an_address_where_nothing_is_fails_within_seconds(pointlab: Command, project: Path) -> None:
    address, root = dead_endpoint(), ("--root", "s3://bucket/prefix")
    config = project / "pretrain.yaml"
    ended = pointlab("doctor", config, *root, "--address", address, "--working-dir", project, "--json")
    assert ended.code == 1
    verdicts = {each.check: each for each in Diagnosis.model_validate_json(ended.output).findings}
    assert verdicts["cluster"].verdict == "failure"
    assert address in verdicts["cluster"].found
    assert verdicts["package"].verdict == "pass"
    assert "pretrain.yaml" in verdicts["job"].found
    unseen = [check for check, each in verdicts.items() if "needs cluster" in each.found]
    assert {"storage", "datasets", "nodes", "resources"} <= {
        check.removeprefix("there: ") for check in unseen
    }
    assert all(verdicts[check].verdict == "skipped" for check in unseen)


def test_a_cluster_that_cannot_be_joined_leaves_rows_for_what_needs_it(
    pointlab: Command, desk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RAY_ADDRESS", dead_endpoint().removeprefix("http://"))
    ended = pointlab("doctor", "--root", desk / "store")
    assert ended.code == 1
    assert "Not looked at: it needs cluster" in ended.output
    assert ended.last_line == "2 pass, 1 failure, 2 not looked at"


def request(folder: Path, *overrides: str) -> Request:
    return Request("http://head:8265", folder, folder / "pretrain.yaml", overrides)


def test_a_package_beyond_rays_limit_is_told_before_it_is_sent(pointlab: Command, project: Path) -> None:
    with (project / "scans.bin").open("wb") as hole:
        hole.truncate(150 * 2**20)
    root = ("--root", "s3://bucket/prefix", "--address", dead_endpoint())
    ended = pointlab("doctor", project / "pretrain.yaml", *root, "--working-dir", project, "--json")
    package = next(
        each for each in Diagnosis.model_validate_json(ended.output).findings if each.check == "package"
    )
    assert package.verdict == "failure"
    assert "scans.bin" in package.found
    assert "at most 100.0 MiB" in package.found
    assert ".rayignore" in package.remedy


def test_a_folder_that_no_node_shares_is_refused(pointlab: Command, project: Path) -> None:
    where = ("--root", "results", "--address", dead_endpoint(), "--working-dir", project)
    ended = pointlab("doctor", project / "pretrain.yaml", *where, "--json")
    found = [each.found for each in Diagnosis.model_validate_json(ended.output).findings]
    assert any("'results'" in each for each in found)


def test_what_would_be_run_is_told(project: Path) -> None:
    size, job = Package(request(project, "storage.root=s3://bucket/prefix", "seed=3")).run()
    assert "1 files" in size.found
    assert "seed=3" in job.found


def test_the_clusters_half_is_a_job_without_credentials(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "hidden")
    monkeypatch.setenv("RAY_AUTH_TOKEN", "hidden")
    with SmallServer().running() as server:
        asked = replace(request(project, "storage.root=s3://bucket/prefix"), server=server.address)
        token, job, *unseen = examine([OnCluster(asked)])
    (sent,) = server.requests
    command = "doctor pretrain.yaml --set storage.root=s3://bucket/prefix --json"
    assert sent["entrypoint"] == f"python -m pointlab.cli {command}"
    assert "hidden" not in json.dumps(sent)
    assert (token.check, token.verdict) == ("token", "warning")
    assert "ended without findings" in job.found
    assert unseen
    assert {each.verdict for each in unseen} == {"skipped"}


def test_the_findings_of_the_clusters_doctor_are_told_with_ours() -> None:
    there = Diagnosis(
        passed=True,
        versions=versions() | {"torch": "1.0"},
        findings=(Finding(check="storage", verdict="pass", found="fine"),),
    )
    versions_differ, storage = told(f"a warning\n{there.model_dump_json()}\n", Job("d", "SUCCEEDED"))
    assert versions_differ.verdict == "warning"
    assert "torch 1.0 instead of" in versions_differ.found
    assert storage.check == "there: storage"


def test_a_doctor_that_dies_on_the_cluster_is_told_with_its_last_words() -> None:
    job = Job("doctor-1", "FAILED", "No module named pointlab", 1)
    with pytest.raises(ClusterError, match="No module named pointlab"):
        list(told("Traceback\n", job))


def test_findings_are_read_whatever_else_stands_in_the_log_and_in_them() -> None:
    finding = {"check": "storage", "verdict": "pass", "found": "fine", "colour": "green"}
    answer = json.dumps({"passed": True, "versions": {"torch": "1.0"}, "findings": [finding], "more": 1})
    log = f"a line without an end{answer.replace(': ', ':')}and one after it"
    versions_differ, storage = told(log, Job("doctor-1", "SUCCEEDED"))
    assert "torch 1.0 instead of" in versions_differ.found
    assert (storage.check, storage.verdict, storage.found) == ("there: storage", "pass", "fine")


def test_a_doctor_whose_answer_is_not_understood_still_tells_its_version() -> None:
    answer = '{"passed":true,"versions":{"pointlab":"9.9"},"findings":[{"verdict":"perhaps"}]}'
    findings = told(answer, Job("doctor-1", "SUCCEEDED"))
    assert "pointlab 9.9 instead of" in next(findings).found
    with pytest.raises(ClusterError, match="without findings"):
        next(findings)


@pytest.mark.parametrize(
    ("status", "verdict"),
    [(200, "warning"), (401, "pass"), (403, "pass"), (500, "skipped"), (404, "skipped")],
)
def test_only_a_refusal_shows_that_a_server_asks_for_a_token(status: int, verdict: str) -> None:
    with SmallServer(status=status).running() as server:
        assert asked_for_token(server.address).verdict == verdict


def test_a_server_without_an_answer_shows_nothing_about_its_token() -> None:
    finding = asked_for_token(dead_endpoint())
    assert finding.verdict == "skipped"
    assert "refused" in finding.found


@pytest.fixture
def followed() -> Iterator[SmallServer]:
    """A server with a doctor's job."""
    with SmallServer().running() as server:
        server.add("doctor-1")
        yield server


def state(server: SmallServer) -> str:
    return str(server.jobs["doctor-1"]["status"])


def test_a_doctors_job_that_takes_too_long_is_stopped(followed: SmallServer) -> None:
    server = JobServer(followed.address)
    with stopped_after(server, "doctor-1", 0.05):
        wait_until(lambda: state(followed) == "STOPPED", 20, lambda: state(followed))


def test_a_doctors_job_that_cannot_be_followed_is_stopped_and_one_that_ended_is_not(
    followed: SmallServer,
) -> None:
    server = JobServer(followed.address)
    with stopped_after(server, "doctor-1", 600):
        pass
    assert state(followed) == "RUNNING"
    with pytest.raises(ClusterError), stopped_after(server, "doctor-1", 600):
        raise ClusterError("The head stays away.")
    assert state(followed) == "STOPPED"


def test_a_doctors_job_is_stopped_where_the_command_is_interrupted(followed: SmallServer) -> None:
    program = [sys.executable, "-c", INTERRUPTED, followed.address]
    ended = subprocess.run(program, capture_output=True, text=True, timeout=100, check=False)
    assert "KeyboardInterrupt" in ended.stderr, ended.stderr
    assert state(followed) == "STOPPED"


def test_sigterm_stops_the_doctors_job_as_ctrl_c_does() -> None:
    with SmallServer(connections=["hangs"]).running() as server:
        program = [
            "-m",
            "pointlab.cli",
            "doctor",
            "--address",
            server.address,
            "--root",
            "s3://bucket/prefix",
        ]
        with tempfile.TemporaryDirectory() as empty:
            doctor = subprocess.Popen(
                [sys.executable, *program, "--working-dir", empty], stderr=subprocess.PIPE, text=True
            )
            wait_until(lambda: server.num_connections > 0, 100, lambda: str(doctor.poll()))
            doctor.terminate()
            _, said = doctor.communicate(timeout=60)
        (job,) = server.jobs.values()
    assert job["status"] == "STOPPED", said
    assert doctor.returncode == EXIT_CODE
    assert f"Waiting for the doctor's job {job['submission_id']} on" in " ".join(said.split())
    assert "Traceback" not in said


def test_a_stopped_doctor_is_told_as_such() -> None:
    with pytest.raises(ClusterError, match="was stopped"):
        list(told("joining\n", Job("doctor-1", "STOPPED")))
