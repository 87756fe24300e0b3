"""A Ray that does not start or cannot be joined is an error with a remedy, in whatever way Ray says so."""

import socket
from pathlib import Path
from typing import Any

import pytest
import ray

from pointlab.doctor import examine
from pointlab.doctor.cluster import Cluster
from pointlab.engine.joining import JoiningError, StartingError
from pointlab.engine.session import connect
from test_cli import Command, desk, in_store, pointlab

__all__ = ["desk", "pointlab"]  # the fixtures

SLOW = "The current node timed out during startup. This could happen because the GCS has become overloaded."


@pytest.fixture
def failing(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """A machine without a Ray, where none starts."""
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    monkeypatch.setattr(ray, "is_initialized", lambda: False)
    monkeypatch.setattr(ray, "init", _raise(Exception(SLOW)))
    return monkeypatch


def _raise(error: Exception) -> Any:
    def init(**_: Any) -> None:
        raise error

    return init


@pytest.mark.parametrize(
    "error",
    [
        Exception(SLOW),
        RuntimeError("Failed to start GCS.\nits log"),
        ConnectionError("No node."),
        Exception(),
    ],
)
def test_a_ray_that_does_not_start_is_told_with_what_to_do(
    failing: pytest.MonkeyPatch, error: Exception
) -> None:
    failing.setattr(ray, "init", _raise(error))
    with pytest.raises(
        StartingError, match=r"did not start on this machine within 0 s.*load .* cores"
    ) as caught:
        connect()
    assert caught.value.found.endswith(".")
    assert not caught.value.found.endswith("..")
    assert "\n" not in caught.value.found
    assert "RAY_ADDRESS" in caught.value.remedy


def test_the_doctor_tells_it_as_a_failure_and_what_it_could_not_look_at(
    failing: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    cluster, *others = examine([Cluster(None, "results")])
    assert (cluster.check, cluster.verdict) == ("cluster", "failure")
    assert SLOW in cluster.found
    assert "calmer" in cluster.remedy
    assert [(each.check, each.verdict) for each in others] == [("nodes", "skipped"), ("exchange", "skipped")]
    assert "Traceback" not in caplog.text


def test_a_run_on_ray_ends_with_it_and_no_traceback(
    failing: pytest.MonkeyPatch, pointlab: Command, desk: Path
) -> None:
    ended = pointlab(*in_store(desk, "pretrain", "launch.kind=ray", "launch.cpus_per_worker=0.1"))
    assert ended.code == 2
    assert ended.paragraph.startswith("Ray did not start on this machine")
    assert "Traceback" not in ended.complaint


@pytest.mark.parametrize(
    ("error", "remedy"),
    [
        (Exception(SLOW), "submit the experiment"),
        (RuntimeError("Version mismatch: the cluster has 2.0"), "Python and Ray of the cluster"),
        (ConnectionError("Could not find any running Ray instance."), "ray start --head"),
    ],
)
def test_what_a_cluster_of_somebody_else_says_is_not_taken_for_a_start(
    failing: pytest.MonkeyPatch, error: Exception, remedy: str
) -> None:
    failing.setenv("RAY_ADDRESS", "auto")
    failing.setattr(ray, "init", _raise(error))
    with pytest.raises(JoiningError) as caught:
        connect()
    assert str(error).rstrip(".") in caught.value.found
    assert remedy in caught.value.remedy


def test_a_run_does_not_wait_for_a_cluster_that_is_not_there(
    monkeypatch: pytest.MonkeyPatch, pointlab: Command, desk: Path
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"127.0.0.1:{server.getsockname()[1]}"
    monkeypatch.setenv("RAY_ADDRESS", address)
    monkeypatch.setattr(ray, "is_initialized", lambda: False)
    ended = pointlab(*in_store(desk, "pretrain", "launch.kind=ray", "launch.cpus_per_worker=0.1"))
    assert ended.code == 2
    assert ended.paragraph.startswith(f"Nothing answers at RAY_ADDRESS {address}")
    assert "Traceback" not in ended.complaint
