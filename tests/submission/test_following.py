"""A job's log is shown whole and once, whatever happens to the connection, and its end is told."""

import logging
import socket
from collections.abc import Iterator
from dataclasses import replace
from types import SimpleNamespace

import pytest

from pointlab.engine.jobs import following
from pointlab.engine.jobs.following import Patience, follow
from pointlab.engine.jobs.server import JobServer
from pointlab.engine.jobs.tail import kept_alive
from pointlab.errors import ClusterError, NoAnswerError
from submission.small_server import LOG, SmallServer

HASTE = Patience(silence=0.2, pause=0.01, start=0, absence=0.5)

LINUX = ("TCP_KEEPIDLE", "TCP_KEEPINTVL", "TCP_KEEPCNT")


@pytest.fixture
def server() -> Iterator[SmallServer]:
    with SmallServer().running() as server:
        server.add("job")
        yield server


@pytest.mark.parametrize(
    "connections",
    [[], ["breaks"], ["deserts"], ["pauses"], ["breaks", "breaks", "pauses"], ["breaks", "deserts"]],
    ids="+".join,
)
def test_a_log_is_shown_whole_and_once(server: SmallServer, connections: list[str]) -> None:
    server.connections = list(connections)
    shown: list[str] = []
    job = follow(JobServer(server.address), "job", shown.append, HASTE)
    assert "".join(shown) == LOG
    assert server.connections == []
    assert job.status == 0


def test_a_broken_connection_is_told(server: SmallServer, caplog: pytest.LogCaptureFixture) -> None:
    server.connections = ["breaks"]
    with caplog.at_level(logging.WARNING, logger="pointlab"):
        follow(JobServer(server.address), "job", lambda _: None, HASTE)
    assert "the job goes on" in caplog.text


def test_what_a_job_waits_for_is_told_once(server: SmallServer, caplog: pytest.LogCaptureFixture) -> None:
    server.add("job", "PENDING", message="It may be waiting for resources.")
    server.pending = 5
    with caplog.at_level(logging.INFO, logger="pointlab"):
        follow(JobServer(server.address), "job", lambda _: None, HASTE)
    assert caplog.text.count("job: It may be waiting for resources.") == 1
    assert server.num_connections == 1


def test_a_start_that_takes_moments_is_not_told(
    server: SmallServer, caplog: pytest.LogCaptureFixture
) -> None:
    server.add("job", "PENDING", message="It may be waiting for resources.")
    server.pending = 5
    with caplog.at_level(logging.INFO, logger="pointlab"):
        follow(JobServer(server.address), "job", lambda _: None, replace(HASTE, start=60))
    assert "resources" not in caplog.text


def test_a_log_that_is_silent_is_not_asked_for_again(server: SmallServer) -> None:
    server.connections = ["pauses"]  # for five times as long as the patience with it
    follow(JobServer(server.address), "job", lambda _: None, HASTE)
    assert server.num_connections == 1


def test_the_end_of_a_log_is_asked_for_again(server: SmallServer) -> None:
    server.connections, server.absent_logs = ["deserts"], 2
    shown: list[str] = []
    follow(JobServer(server.address), "job", shown.append, HASTE)
    assert "".join(shown) == LOG


def test_an_end_that_cannot_be_had_is_told(server: SmallServer, caplog: pytest.LogCaptureFixture) -> None:
    server.connections, server.absent_logs = ["deserts"], 99
    with caplog.at_level(logging.WARNING, logger="pointlab"):
        job = follow(JobServer(server.address), "job", lambda _: None, HASTE)
    assert job.status == 0
    assert "the end of its log cannot be had" in caplog.text


@pytest.mark.parametrize("status", [500, 502, 503])
def test_a_head_that_starts_again_is_waited_for(server: SmallServer, status: int) -> None:
    server.absences, server.status_away = 3, status
    shown: list[str] = []
    follow(JobServer(server.address), "job", shown.append, HASTE)
    assert "".join(shown) == LOG


def test_a_connection_is_looked_after_by_the_system() -> None:
    with kept_alive((socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", None)) as connection:
        assert connection.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
        seconds = {name: connection.getsockopt(socket.IPPROTO_TCP, getattr(socket, name)) for name in LINUX}
    assert seconds["TCP_KEEPIDLE"] + seconds["TCP_KEEPINTVL"] * seconds["TCP_KEEPCNT"] <= 60


@pytest.mark.parametrize(
    ("ending", "status"),
    [
        ({"status": "FAILED", "driver_exit_code": 2}, 2),
        ({"status": "FAILED", "driver_exit_code": -9}, 137),
        ({"status": "FAILED", "driver_exit_code": None}, 1),
        ({"status": "STOPPED"}, 143),
    ],
)
def test_the_exit_status_is_the_jobs(server: SmallServer, ending: dict[str, object], status: int) -> None:
    server.ending = ending
    assert follow(JobServer(server.address), "job", lambda _: None, HASTE).status == status


def test_the_last_words_are_those_of_the_log(server: SmallServer) -> None:
    told = "last available logs (truncated to 20,000 chars):\nError: A swapped axis.\n"
    message = f"Job entrypoint command failed with exit code 2, {told}"
    server.ending = {"status": "FAILED", "driver_exit_code": 2, "message": message}
    job = follow(JobServer(server.address), "job", lambda _: None, HASTE)
    assert job.last_words == "Error: A swapped axis."


def test_patience_with_a_cluster_begins_anew_whenever_it_is_heard(
    server: SmallServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.connections = ["leaves"]
    shown: list[str] = []
    # A minute goes by with each piece of the log, and no time else.
    clock = SimpleNamespace(monotonic=lambda: 60.0 * len(shown), sleep=lambda _: None)
    monkeypatch.setattr(following, "time", clock)
    follow(JobServer(server.address), "job", shown.append, replace(HASTE, silence=60, absence=90))
    assert "".join(shown) == LOG
    assert server.absences == 0
    assert len(shown) > 3


def test_a_cluster_that_stays_away_is_given_up_and_it_is_said_how_to_go_on() -> None:
    with SmallServer().running() as server:
        server.add("job")
        client = JobServer(server.address)
    with pytest.raises(ClusterError, match=r"whether job still runs is not known.*same command"):
        follow(client, "job", lambda _: None, HASTE)


def test_a_cluster_that_comes_back_is_followed_again() -> None:
    with SmallServer().running() as first:
        first.add("job")
        client = JobServer(first.address)
    with SmallServer().running() as second:
        second.add("job")
        shown: list[str] = []
        client.client._address = second.address  # as if it had moved back to where it was
        follow(client, "job", shown.append, HASTE)
    assert "".join(shown) == LOG


def test_a_job_that_the_cluster_forgot_is_an_error_at_once(server: SmallServer) -> None:
    with pytest.raises(ClusterError, match="does not exist") as caught:
        follow(JobServer(server.address), "other", lambda _: None, HASTE)
    assert not isinstance(caught.value, NoAnswerError)
