"""What may be wrong between here and the cluster is told with what to do, and nothing waits for ever."""

import re
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from aiohttp import web

from pointlab.engine.jobs import server as job_server
from pointlab.engine.jobs.job import Order
from pointlab.engine.jobs.placing import lacking
from pointlab.engine.jobs.server import JobServer
from pointlab.errors import ClusterError, ConfigError, NoAnswerError
from pointlab.submission import send
from submission.small_server import SmallServer

ORDER = Order("tiny-s0-1234abcd", "true")


@pytest.fixture
def server() -> Iterator[SmallServer]:
    with SmallServer().running() as server:
        yield server


def test_an_address_where_nobody_listens_is_told(unused_port: int) -> None:
    with pytest.raises(NoAnswerError, match=r"Connection refused.*What to do: check the address"):
        JobServer(f"127.0.0.1:{unused_port}")


@pytest.fixture
def unused_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def test_a_server_that_accepts_and_says_nothing_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(job_server, "ANSWER_SECONDS", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent, pytest.raises(NoAnswerError, match="timed out"):
        JobServer(f"http://127.0.0.1:{silent.getsockname()[1]}")


@pytest.mark.parametrize(
    ("status", "told"),
    [
        (401, "wants a token and got none: RAY_AUTH_MODE is 'disabled'.*RAY_AUTH_TOKEN"),
        (403, "refuses the token.*RAY_AUTH_TOKEN_PATH.*get-auth-token"),
        (404, "answers, but not as Ray's job server"),
        (502, "answers, but not as Ray's job server"),
    ],
)
def test_what_a_server_objects_is_told(server: SmallServer, status: int, told: str) -> None:
    server.status = status
    with pytest.raises(ClusterError, match=told):
        JobServer(server.address)


@pytest.mark.parametrize(
    ("variables", "place"),
    [
        ({"RAY_AUTH_TOKEN": "0" * 32, "RAY_AUTH_TOKEN_PATH": "/gone"}, "from RAY_AUTH_TOKEN."),
        ({"RAY_AUTH_TOKEN_PATH": "/gone"}, "from /gone, which RAY_AUTH_TOKEN_PATH names."),
        ({}, "from ~/.ray/auth_token."),
    ],
)
def test_a_token_that_is_refused_is_told_by_its_place(
    server: SmallServer, monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], place: str
) -> None:
    for name in ("RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    server.status = 403
    with pytest.raises(ClusterError) as caught:
        JobServer(server.address)
    assert caught.value.found.endswith(place)
    assert "0" * 32 not in str(caught.value)


@pytest.mark.parametrize("address", ["ray://head:10001", "auto://", "ftp://head"])
def test_an_address_that_no_job_server_has_is_refused(address: str) -> None:
    with pytest.raises(ConfigError, match="head's dashboard"):
        JobServer(address)


def test_the_given_address_counts_and_not_that_of_the_environment(
    server: SmallServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RAY_ADDRESS", "http://127.0.0.1:1")
    monkeypatch.setenv("RAY_API_SERVER_ADDRESS", "http://127.0.0.1:1")
    assert JobServer(server.address).ray_version == "2.60.0"


def test_what_runs_already_is_not_sent_again(server: SmallServer) -> None:
    server.add(ORDER.name, "FAILED")
    server.add(f"{ORDER.name}-2", "PENDING")
    sent = send(JobServer(server.address), ORDER)
    assert (sent.job_id, sent.is_new) == (f"{ORDER.name}-2", False)
    assert server.requests == []


@pytest.mark.parametrize("status", ["FAILED", "STOPPED", "SUCCEEDED"])
def test_what_ended_is_sent_as_a_new_job_of_the_same_name(server: SmallServer, status: str) -> None:
    for job_id in (ORDER.name, *(f"{ORDER.name}-{number}" for number in range(2, 11))):
        server.add(job_id, status)
    server.add(f"{ORDER.name}-other", "RUNNING")
    server.add("another", "RUNNING")
    sent = send(JobServer(server.address), ORDER)
    assert (sent.job_id, sent.is_new) == (f"{ORDER.name}-11", True)
    assert [request["submission_id"] for request in server.requests] == [sent.job_id]


class Quicker(SmallServer):
    """A server that has the same job from somebody else, a moment before."""

    async def submit(self, request: web.Request) -> web.Response:
        job_id = (await request.json())["submission_id"]
        self.add(job_id)
        return web.Response(status=400, text=f"Job with submission_id {job_id} already exists.")


def test_of_two_who_send_the_same_at_once_the_later_follows() -> None:
    with Quicker().running() as server:
        sent = send(JobServer(server.address), ORDER)
    assert (sent.job_id, sent.is_new) == (ORDER.name, False)


def test_a_request_that_is_refused_is_told(server: SmallServer) -> None:
    client = JobServer(server.address)
    server.status = 500
    with pytest.raises(ClusterError, match="refused"):
        send(client, ORDER)


def test_a_package_may_take_longer_than_to_connect(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(job_server, "CONNECT_SECONDS", 0.2)
    with SmallServer(seconds_before_taking=0.6).running() as server:
        client = JobServer(server.address).client
        answer = client._do_request("PUT", "/api/packages/gcs/one.zip", data=bytes(30_000_000))
    assert answer.status_code == 200
    assert server.taken == 30_000_000


@pytest.mark.parametrize(
    ("reserved", "told"),
    [
        ({"cpus": 4.0}, ""),
        ({"cpus": 0.0}, ""),
        ({"cpus": 16.0}, r"No node has the 16 CPUs .*none has more than 8 CPUs.*cpus_per_worker"),
        ({"cpus": 1.0, "gpus": 1.0}, r"1 CPUs and 1 GPUs .*none has more than 8 CPUs and 0 GPUs"),
    ],
)
def test_what_no_node_has_is_told(server: SmallServer, reserved: dict[str, float], told: str) -> None:
    server.nodes = [{"CPU": 8.0, "memory": 1e9}, {"CPU": 2.0}]
    said = lacking(Order("one", "true", **reserved), JobServer(server.address).nodes())
    assert re.search(told, said) if told else said == ""


def test_a_node_that_is_gone_does_not_count(server: SmallServer) -> None:
    server.nodes = [{"CPU": 2.0}]
    assert JobServer(server.address).nodes() == [{"CPU": 2.0}]


def test_an_order_is_sent_as_it_is(server: SmallServer, tmp_path: Path) -> None:
    order = Order("one", "python run.py", None, {"A": "1"}, cpus=0.5)
    send(JobServer(server.address), order)
    (request,) = server.requests
    assert request["entrypoint"] == "python run.py"
    assert request["runtime_env"] == {"env_vars": {"A": "1"}}
    assert request["entrypoint_num_cpus"] == 0.5
