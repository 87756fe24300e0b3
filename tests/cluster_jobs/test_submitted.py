"""A config submitted to a real head, whose token is asked for: its log, its end, its losses, its resumption.

The nodes alone know the store's credentials; the machine that submits has none.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import requests
import yaml

import swift_setup
from cluster_jobs.head import Head, started_head
from conftest import PRETRAIN, tiny_pretrain
from fault_table import add_row
from faults.scene import SETTINGS, Ending, copied, ending_of
from pointlab.config import merge
from pointlab.engine.jobs.package import LIMIT
from pointlab.launch import run
from pointlab.storage import Storage, read_record
from pointlab.training import Run
from ray_nodes import RAY, wait_until
from s3_server import S3Server

pytestmark = pytest.mark.ray
ROOT = Path(__file__).resolve().parents[2]
POINTLAB = [sys.executable, "-c", "from pointlab.cli import main; main()"]
PATIENCE = 280.0
MARK = "\n# shipped, not installed\n"


@dataclass(frozen=True)
class Desk:
    """Where jobs are submitted from: a folder with the source and a config, and nothing of the cluster's but
    its token."""

    head: Head
    folder: Path
    storage: Storage

    def write(self, settings: dict[str, Any]) -> None:
        """The config, `configs/run.yaml`."""
        content = merge(settings, {"launch": {"kind": "ray"}, "storage": {"root": self.storage.address}})
        (self.folder / "configs" / "run.yaml").write_text(yaml.safe_dump(content))

    def start(self, *command: str, **changes: str) -> subprocess.Popen[str]:
        """A command in the folder; what it says goes to one stream."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
        return subprocess.Popen(
            command,
            cwd=self.folder,
            env=kept | {"PYTHONPATH": str(ROOT / "platform")} | self.head.environment() | changes,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def submit(self, *options: str, **changes: str) -> tuple[int, str]:
        """Submit the config; the exit status, and all that was said."""
        address = ("--address", self.head.address)
        with self.start(*POINTLAB, "submit", "configs/run.yaml", *address, *options, **changes) as process:
            said = process.communicate(timeout=PATIENCE)[0]
        return process.returncode, said

    def jobs_of(self, name: str) -> list[dict[str, Any]]:
        """What the head knows of the jobs whose names begin like this, oldest first."""
        header = {"Authorization": f"Bearer {self.head.token}"}
        found = requests.get(f"{self.head.address}/api/jobs/", headers=header, timeout=30).json()
        named = [job for job in found if (job["submission_id"] or "").startswith(f"{name}-s0-")]
        return sorted(named, key=lambda job: job["submission_id"])

    def has_begun(self) -> bool:
        """Whether the run has a checkpoint to go on from."""
        return bool(self.run) and max(Run(self.storage, self.run).checkpoints(), default=0) >= 10

    @property
    def run(self) -> str:
        """The name of the run in the store; empty before it has begun."""
        return next(iter(self.storage.folders("runs")), "")


@pytest.fixture(scope="module")
def head(s3_server: S3Server) -> Iterator[Head]:
    with started_head(s3_server.environment()) as head:
        yield head


@pytest.fixture
def desk(head: Head, s3_storage: Storage, prepared_root: Path, tmp_path: Path) -> Desk:
    """A copy of the source that no installation equals, and a store with the tiny sets."""
    copied(prepared_root, s3_storage)
    folder = tmp_path / "desk"
    for part in ("platform", "jobs"):
        shutil.copytree(ROOT / part, folder / part, ignore=shutil.ignore_patterns("__pycache__"))
    with (folder / "platform" / "pointlab" / "__init__.py").open("a") as file:
        file.write(MARK)
    (folder / "configs").mkdir()
    return Desk(head, folder, s3_storage)


def losses(storage: Storage, name: str) -> list[float]:
    return [line["train/loss"] for line in Run(storage, name).read_log() if "train/loss" in line]


@pytest.mark.usefixtures("ray_session")
def test_a_submitted_job_has_the_losses_of_any_other(desk: Desk, storage: Storage) -> None:
    desk.write(PRETRAIN)
    status, said = desk.submit()
    assert status == 0, said
    assert "Running entrypoint for job tiny-s0-" in said
    assert "Record: s3://" in said
    alone = run(tiny_pretrain(storage, name="alone", launch={"kind": "local"})).record
    on_ray = run(tiny_pretrain(storage, name="on-ray", launch={"kind": "ray"})).record
    assert alone is not None
    assert on_ray is not None
    submitted = losses(desk.storage, desk.run)
    assert submitted
    assert submitted == losses(storage, alone.run) == losses(storage, on_ray.run)

    record = read_record(desk.storage, desk.run)
    assert record is not None
    assert record.code_version != alone.code_version  # what was shipped ran, and nothing installed
    (job,) = desk.jobs_of("tiny")
    assert job["runtime_env"]["env_vars"] == {"PYTHONPATH": "platform", "RAY_JOB_STOP_WAIT_TIME_S": "60"}
    assert swift_setup.KEY not in json.dumps(job)
    assert desk.head.token not in json.dumps(job)


def test_a_failed_job_hands_its_status_and_its_error_to_the_shell(desk: Desk) -> None:
    desk.write(merge(PRETRAIN, {"name": "failing"}))
    status, said = desk.submit("--root", "s3://absent/here")
    assert status == 2, said
    last = said.rstrip().splitlines()[-1]
    assert last.startswith("Error: ")
    assert "absent" in last


def test_who_has_no_token_or_a_wrong_one_is_told_what_to_do(desk: Desk) -> None:
    desk.write(merge(PRETRAIN, {"name": "never"}))
    home = str(desk.folder / "home")
    for changes, told in (
        ({"RAY_AUTH_TOKEN": "0" * 32}, "refuses the token"),
        ({"RAY_AUTH_TOKEN": "", "HOME": home}, "There is no token for"),
        ({"RAY_AUTH_MODE": "disabled"}, "wants a token and got none"),
    ):
        status, said = desk.submit("--no-wait", **changes)
        assert status == 2, said
        assert told in said
        assert "RAY_AUTH_TOKEN_PATH" in said
    assert desk.jobs_of("never") == []


def test_the_largest_package_is_what_the_head_takes(head: Head) -> None:
    address = f"{head.address}/api/packages/gcs/_ray_pkg_0123456789abcdef.zip"
    header = {"Authorization": f"Bearer {head.token}"}
    answers = [
        requests.put(address, data=bytes(size), headers=header, timeout=120).status_code
        for size in (LIMIT, LIMIT + 1)
    ]
    assert answers == [200, 413]


def test_a_job_that_no_node_can_hold_is_told_when_it_is_sent(desk: Desk) -> None:
    desk.write(merge(PRETRAIN, {"name": "wide"}))
    local = ("--set", "launch.kind=local", "--set", "launch.cpus_per_worker=64")
    status, said = desk.submit("--no-wait", *local)
    assert status == 0, said
    assert "No node has the 64 CPUs that this job reserves (none has more than 2 CPUs)" in " ".join(
        said.split()
    )


@pytest.mark.slow
def test_the_plain_command_runs_the_same(desk: Desk) -> None:
    desk.write(merge(PRETRAIN, {"name": "plain"}))
    (desk.folder / ".rayignore").write_bytes((ROOT / ".rayignore").read_bytes())
    job = ("job", "submit", "--address", desk.head.address, "--working-dir", ".")
    with desk.start(*RAY, *job, "--", "python", "jobs/pretrain.py", "configs/run.yaml") as process:
        said = process.communicate(timeout=PATIENCE)[0]
    assert process.returncode == 0, said
    assert read_record(desk.storage, desk.run) is not None


@pytest.mark.slow
@pytest.mark.fault
def test_a_killed_job_is_gone_on_with_by_the_same_command(desk: Desk, undisturbed: Ending) -> None:
    desk.write(merge(SETTINGS, {"name": "killed"}))
    command = (*POINTLAB, "submit", "configs/run.yaml", "--address", desk.head.address)
    with desk.start(*command) as process:
        wait_until(desk.has_begun, PATIENCE, lambda: str(process.poll()))
        (job,) = desk.jobs_of("killed")
        os.kill(int(job["driver_info"]["pid"]), signal.SIGKILL)
        said = process.communicate(timeout=PATIENCE)[0]
    assert process.returncode == 128 + signal.SIGKILL, said

    status, said = desk.submit()
    assert status == 0, said
    first, second = desk.jobs_of("killed")
    assert second["submission_id"] == f"{first['submission_id']}-2"
    assert f"{first['submission_id']} failed: this goes on from what it saved" in " ".join(said.split())
    ending = ending_of(desk.storage, desk.run)
    assert ending == undisturbed
    outcome = "the same command went on"
    add_row("job's driver SIGKILL", "head, S3", outcome, ending.digest, undisturbed.digest)

    status, said = desk.submit()
    assert status == 0, said
    assert "Finished before" in said
