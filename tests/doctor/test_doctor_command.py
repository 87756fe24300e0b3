"""`pointlab doctor`: a table for people, a line of JSON for programs, and an exit code for both."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from conftest import PRETRAIN
from doctor.test_doctor_store import dead_endpoint
from pointlab.doctor import Diagnosis, Finding
from pointlab.doctor.environment import versions
from pointlab.doctor.submission import OnCluster, Package, Request, _told
from pointlab.engine.jobs.job import Job
from submission.small_server import SmallServer
from test_cli import Command, desk, pointlab, write_config

__all__ = ["desk", "pointlab"]  # the fixtures


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
    (finding,) = json.loads(ended.output)["findings"]
    assert finding["check"] == "config"
    assert "did you mean 'seed'?" in finding["found"]


def test_without_a_config_the_machine_alone_is_looked_at(pointlab: Command, tmp_path: Path) -> None:
    ended = pointlab("doctor", "--root", tmp_path / "store")
    assert ended.code == 0
    assert not (tmp_path / "store").exists()


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


def request(folder: Path, *overrides: str) -> Request:
    return Request("http://head:8265", folder, folder / "pretrain.yaml", overrides)


def test_a_package_beyond_rays_limit_is_told_before_it_is_sent(pointlab: Command, project: Path) -> None:
    with (project / "scans.bin").open("wb") as hole:
        hole.truncate(600 * 2**20)
    root = ("--root", "s3://bucket/prefix", "--address", dead_endpoint())
    ended = pointlab("doctor", project / "pretrain.yaml", *root, "--working-dir", project, "--json")
    package = next(
        each for each in Diagnosis.model_validate_json(ended.output).findings if each.check == "package"
    )
    assert package.verdict == "failure"
    assert "scans.bin" in package.found
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
        token, job = OnCluster(asked).run()
    (sent,) = server.requests
    command = "doctor pretrain.yaml --set storage.root=s3://bucket/prefix --json"
    assert sent["entrypoint"] == f"python -m pointlab.cli {command}"
    assert "hidden" not in json.dumps(sent)
    assert (token.check, token.verdict) == ("token", "warning")
    assert "ended without findings" in job.found


def test_the_findings_of_the_clusters_doctor_are_told_with_ours() -> None:
    there = Diagnosis(
        passed=True,
        versions=versions() | {"torch": "1.0"},
        findings=(Finding(check="storage", verdict="pass", found="fine"),),
    )
    versions_differ, storage = _told(f"a warning\n{there.model_dump_json()}\n", Job("d", "SUCCEEDED"))
    assert versions_differ.verdict == "warning"
    assert "torch 1.0 instead of" in versions_differ.found
    assert storage.check == "there: storage"


def test_a_doctor_that_dies_on_the_cluster_is_told_with_its_last_words() -> None:
    job = Job("doctor-1", "FAILED", "No module named pointlab", 1)
    (finding,) = _told("Traceback\n", job)
    assert finding.verdict == "failure"
    assert "No module named pointlab" in finding.found
