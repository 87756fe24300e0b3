"""`pointlab submit` shows the job's log and ends as the job does; Ctrl-C leaves the job alone."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer
import yaml

from conftest import PRETRAIN
from pointlab.cli.submit import submit
from pointlab.errors import ConfigError
from submission.small_server import LOG, SmallServer

SOURCE = Path(__file__).resolve().parents[2] / "platform"
CONFIG = Path("run.yaml")
ROOT = "s3://bucket/prefix"
PATIENCE = 60.0


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[SmallServer]:
    """A server, and a config in this process's folder."""
    monkeypatch.chdir(tmp_path)
    CONFIG.write_text(yaml.safe_dump(PRETRAIN))
    with SmallServer().running() as server:
        yield server


def job_of(server: SmallServer) -> str:
    """The one job that was asked for."""
    (request,) = server.requests
    return str(request["submission_id"])


def test_the_log_of_a_job_is_the_output(server: SmallServer, capsys: pytest.CaptureFixture[str]) -> None:
    submit(CONFIG, server.address, root=ROOT)
    output, said = capsys.readouterr()
    assert output == LOG
    assert "Ships" in said
    assert "python -m pointlab.cli run run.yaml" in said


def test_a_failed_job_is_told_with_its_last_words(
    server: SmallServer, capsys: pytest.CaptureFixture[str]
) -> None:
    server.ending = {"status": "FAILED", "driver_exit_code": 2, "message": "Error: A swapped axis."}
    with pytest.raises(typer.Exit) as ended:
        submit(CONFIG, server.address, root=ROOT)
    assert ended.value.exit_code == 2
    said = capsys.readouterr().err
    assert said.rstrip().endswith("failed, exit status 2.\nError: A swapped axis.")


HEARING_CTRL_C = (
    "import signal; signal.signal(signal.SIGINT, signal.default_int_handler);"
    "from pointlab.cli import main; main()"
)
"""The program as in a terminal, where tests run in the background of a shell, which has SIGINT ignored."""


def test_ctrl_c_leaves_the_job_and_says_how_to_follow_and_to_stop_it(server: SmallServer) -> None:
    server.connections = ["hangs"]
    command = [sys.executable, "-c", HEARING_CTRL_C, "submit", str(CONFIG)]
    with subprocess.Popen(
        [*command, "--address", server.address, "--root", ROOT],
        env=os.environ | {"PYTHONPATH": str(SOURCE)},
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        deadline = time.monotonic() + PATIENCE
        while server.connections and time.monotonic() < deadline:
            time.sleep(0.02)
        process.send_signal(signal.SIGINT)
        said = process.communicate(timeout=PATIENCE)[1]
    assert process.returncode == 130, said
    job = job_of(server)
    assert server.jobs[job]["status"] == "RUNNING"
    assert f"{job} goes on" in said
    for verb in ("logs --follow", "stop"):
        assert f"ray job {verb} --address {server.address} {job}" in said


def test_without_waiting_it_says_how_to_follow(
    server: SmallServer, capsys: pytest.CaptureFixture[str]
) -> None:
    submit(CONFIG, server.address, root=ROOT, wait=False)
    output, said = capsys.readouterr()
    assert output == ""
    assert f"ray job logs --follow --address {server.address} {job_of(server)}" in said


def test_a_running_job_is_followed(server: SmallServer, capsys: pytest.CaptureFixture[str]) -> None:
    submit(CONFIG, server.address, root=ROOT, wait=False)
    submit(CONFIG, server.address, root=ROOT)
    output, said = capsys.readouterr()
    assert output == LOG
    assert f"{job_of(server)} is running.\n" in said  # and was asked for once
    assert said.count("Ships") == 1


def test_a_job_that_runs_with_another_launch_is_told_with_what_to_do(
    server: SmallServer, capsys: pytest.CaptureFixture[str]
) -> None:
    submit(CONFIG, server.address, ["launch.max_failures=5"], ROOT, wait=False)
    submit(CONFIG, server.address, ["launch.max_failures=1"], ROOT, wait=False)
    said = capsys.readouterr()[1]
    told = next(line for line in said.splitlines() if "not as given now" in line)
    assert "launch.max_failures=5" in told
    assert f"ray job stop --address {server.address} {job_of(server)}, then the same command" in said


def test_credentials_are_not_in_what_is_sent(server: SmallServer, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "RAY_AUTH_TOKEN"):
        monkeypatch.setenv(name, "hidden")
    submit(CONFIG, server.address, root=ROOT, wait=False)
    assert server.requests
    assert "hidden" not in str(server.requests)


def test_nothing_is_sent_where_something_is_wrong(server: SmallServer) -> None:
    with pytest.raises(ConfigError, match="seed"):
        submit(CONFIG, server.address, ["seed=-1"], ROOT)
    assert server.requests == []
