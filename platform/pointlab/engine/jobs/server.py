"""The job server of a Ray cluster: what it knows of jobs, and taking one on.

Ray's own client waits for ever for a server that does not answer, obeys the environment before its caller,
and tells of a wrong token in many lines: this one has patience, and errors with a remedy.
"""

import contextlib
import logging
import os
import re
from collections.abc import AsyncGenerator, Iterator
from http import HTTPStatus
from typing import Any

import requests
from ray.exceptions import AuthenticationError
from ray.job_submission import JobDetails, JobSubmissionClient

from pointlab.engine.jobs.excludes import EXCLUDES
from pointlab.engine.jobs.job import Job, Order
from pointlab.engine.jobs.tail import tail
from pointlab.engine.token import EXPECTED, place_of_token
from pointlab.errors import ClusterError, ConfigError, NoAnswerError

CONNECT_SECONDS = 10.0
SENDING_SECONDS = 900.0
"""For the whole of a package, of 100 MiB at most: a line of 1 Mbit/s carries it."""
ANSWER_SECONDS = 60.0
"""A head that is busy, or takes in a package of hundreds of megabytes, may need as long as this."""
AWAY = re.compile(r"status code 50[0234]")
"""What a proxy says without a head, and a head whose books are away for a while, as when it starts again."""
NAMED_BY = "RAY_API_SERVER_ADDRESS"
WANTED = "the address of the head's dashboard, such as http://head:8265"


class Client(JobSubmissionClient):  # type: ignore[misc]
    """Ray's client, with an end to its patience."""

    def _do_request(self, method: str, endpoint: str, **options: Any) -> Any:
        # the first one is also that of sending all of a body
        first = CONNECT_SECONDS if options.get("data") is None else SENDING_SECONDS
        return super()._do_request(method, endpoint, timeout=(first, ANSWER_SECONDS), **options)


class JobServer:
    """The server at `address`, which has answered and takes this process's token; else ClusterError."""

    def __init__(self, address: str) -> None:
        self.address = with_scheme(address)
        for module in ("dashboard_sdk", "job.sdk"):
            logging.getLogger(f"ray.dashboard.modules.{module}").setLevel(logging.ERROR)  # told by us
        with _explained(self.address), _asked_for(self.address):
            self.client = Client(self.address)

    @property
    def ray_version(self) -> str:
        """Ray's version on the cluster."""
        return str(self.client._server_ray_version)

    def submit(self, order: Order, job_id: str) -> None:
        """Send the order's folder, unless the cluster has it already, and start its command as this job."""
        environment: dict[str, Any] = {"env_vars": dict(order.variables)}
        if order.folder is not None:
            environment |= {"working_dir": str(order.folder), "excludes": list(EXCLUDES)}
        with _explained(self.address):
            self.client.submit_job(
                entrypoint=order.command,
                submission_id=job_id,
                runtime_env=environment,
                entrypoint_num_cpus=order.cpus,
                entrypoint_num_gpus=order.gpus,
            )

    def look(self, job_id: str) -> Job:
        """What the cluster knows of a job."""
        with _explained(self.address):
            return _as_job(self.client.get_job_info(job_id))

    def attempts(self, name: str) -> list[Job]:
        """The jobs that carry out this name, `<name>` and `<name>-2` and so on, oldest first."""
        with _explained(self.address):
            jobs = [_as_job(details) for details in self.client.list_jobs() if details.submission_id]
        return sorted((job for job in jobs if job.attempt_at(name)), key=lambda job: job.attempt_at(name))

    def nodes(self) -> list[dict[str, float]]:
        """What each node has in all, such as CPUs; empty where the cluster does not tell."""
        with _explained(self.address):
            answer = self.client._do_request("GET", "/api/v0/nodes?detail=1&limit=10000")
            if answer.status_code != HTTPStatus.OK:
                return []
            rows = answer.json()["data"]["result"]["result"]
        return [row["resources_total"] for row in rows if row["state"] == "ALIVE"]

    def tail(self, job_id: str) -> AsyncGenerator[str, None]:
        """A job's log in pieces from its beginning, up to the job's end, as it grows."""
        client = self.client
        return tail(f"{client._address}/api/jobs/{job_id}/logs/tail", client._headers, client._ssl_context)

    def stop(self, job_id: str) -> None:
        """Ask a job to end; nothing happens to one that has ended."""
        with _explained(self.address):
            self.client.stop_job(job_id)

    def log(self, job_id: str) -> str:
        """All that a job has said so far."""
        with _explained(self.address):
            return str(self.client.get_job_logs(job_id))


@contextlib.contextmanager
def _explained(address: str) -> Iterator[None]:
    """What Ray's client and the network raise, as ClusterErrors."""
    try:
        yield
    except AuthenticationError as error:
        raise _about_the_token(address, str(error)) from None
    except (requests.Timeout, requests.ConnectionError, ConnectionError) as error:
        raise NoAnswerError(
            f"No job server answers at {address} ({_reason(error)}).",
            expected=f"{WANTED}; 6379 is Ray's own port",
            remedy="check the address, that the head runs, and that this machine reaches the port"
            " (kubectl port-forward, ssh -L, a firewall)",
        ) from None
    except (requests.RequestException, KeyError) as error:
        raise _of_another_service(address, _reason(error)) from None
    except (RuntimeError, ValueError) as error:  # the client has no classes for what the server says
        if "Version check" in str(error):
            raise _of_another_service(address, "there is no /api/version") from None
        kind = NoAnswerError if AWAY.search(str(error)) else ClusterError
        raise kind(f"{address}: {_brief(error)}.") from None


def with_scheme(address: str) -> str:
    """The address as a URL; ConfigError for one that no job server can have."""
    url = address if "://" in address else f"http://{address}"
    if not url.startswith(("http://", "https://")):
        raise ConfigError(f"--address is {address!r}.", expected=WANTED)
    return url.rstrip("/")


@contextlib.contextmanager
def _asked_for(address: str) -> Iterator[None]:
    """A block in which Ray takes this address for that of the server, and none from the environment."""
    before = os.environ.get(NAMED_BY)
    os.environ[NAMED_BY] = address
    try:
        yield
    finally:
        del os.environ[NAMED_BY]
        if before is not None:
            os.environ[NAMED_BY] = before


def _about_the_token(address: str, said: str) -> ClusterError:
    """What is wrong with the token, by the words of Ray's error."""
    remedy = "get it with `ray get-auth-token` on the head, or from the Secret of the cluster"
    if "Authentication failed" in said:
        found = f"{address} refuses the token from {place_of_token()}."
    elif "Authentication required" in said:
        found = f"{address} wants a token and got none: RAY_AUTH_MODE is {os.environ.get('RAY_AUTH_MODE')!r}."
        remedy += ", and set RAY_AUTH_MODE=token"
    else:
        found = f"There is no token for {address} here."
        remedy += "; for a cluster that asks for none, set RAY_AUTH_MODE=disabled"
    return ClusterError(found, expected=EXPECTED, remedy=remedy)


def _of_another_service(address: str, reason: str) -> ClusterError:
    return ClusterError(f"{address} answers, but not as Ray's job server ({reason}).", expected=WANTED)


def _as_job(details: JobDetails) -> Job:
    return Job(
        id=str(details.submission_id),
        state=details.status.value,
        message=details.message or "",
        exit_code=details.driver_exit_code,
        command=details.entrypoint or "",
    )


def _reason(error: BaseException) -> str:
    """The innermost cause, without the layers of libraries around it."""
    while (cause := error.__cause__ or error.__context__) is not None:
        error = cause
    return f"{type(error).__name__}: {error}"[:200].rstrip(".")


def _brief(error: BaseException) -> str:
    """The last line of what may be another process's traceback."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return (lines[-1] if lines else type(error).__name__)[:300].rstrip(".")
