"""Before a submission: what would be shipped and run, and the cluster's own half of the doctor, as a job."""

import secrets
import shlex
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from pointlab.doctor.environment import differences, versions
from pointlab.doctor.finding import Diagnosis, Finding, failed, passed, skipped, warned
from pointlab.engine.jobs.job import Job, Order
from pointlab.errors import ResourceError
from pointlab.submission import Options, order_for, variables_for
from pointlab.submission.order import place_in

ANSWER_SECONDS = 10.0
CLUSTER_SECONDS = 600.0
"""For a job to be sent, started and carried out; the first one on a node may install its environment."""


@dataclass(frozen=True)
class Request:
    """A config as it would be submitted: from this folder, with these overrides, to the head's job server."""

    server: str
    folder: Path
    config: Path | None
    overrides: tuple[str, ...] = ()
    root: str | None = None
    deep: bool = False


@dataclass(frozen=True)
class Package:
    """What would be shipped, and that the config can be used there."""

    request: Request
    name: str = "package"
    seconds: float = 120.0

    def run(self) -> Iterator[Finding]:
        """The size of the package by folder, and the command of the job."""
        from pointlab.engine.jobs.package import measured

        request = self.request
        package = measured(request.folder)
        package.require_sendable()
        yield passed(str(package))
        if request.config is not None:
            order = order_for(request.config, request.folder, Options(request.overrides), package.files)
            yield passed(f"`{order.command}`", "job")


@dataclass(frozen=True)
class OnCluster:
    """The doctor on the cluster: a job that joins it and looks at it from within."""

    request: Request
    name: str = "cluster"
    seconds: float = CLUSTER_SECONDS

    def run(self) -> Iterator[Finding]:
        """Whether the job server takes us, and what its doctor found."""
        from pointlab.engine.jobs.following import follow
        from pointlab.engine.jobs.package import measured
        from pointlab.engine.jobs.server import JobServer

        server = JobServer(self.request.server)
        if _is_open(server.address):
            yield warned(
                f"{server.address} takes jobs without a token: whoever reaches it can run code there.",
                "start its nodes with RAY_AUTH_MODE=token and one RAY_AUTH_TOKEN",
                "token",
            )
        else:
            yield passed(f"{server.address} takes ours, and asks for one", "token")
        try:
            measured(self.request.folder).require_sendable()
        except ResourceError:
            yield skipped("The package is too large to send a doctor with.")
            return
        name, log = f"doctor-{secrets.token_hex(4)}", list[str]()
        server.submit(self._order(name), name)
        job = follow(server, name, log.append)
        yield from _told("".join(log), job)

    def _order(self, name: str) -> Order:
        request = self.request
        place = [] if request.config is None else [place_in(request.folder, request.config).as_posix()]
        settings = [part for override in request.overrides for part in ("--set", override)]
        root = [] if request.root is None else ["--root", request.root]
        deep = ["--deep"] if request.deep else []
        program = ["python", "-m", "pointlab.cli", "doctor", *place, *settings, *root, *deep, "--json"]
        return Order(name, shlex.join(program), request.folder.absolute(), variables_for(request.folder))


def _is_open(address: str) -> bool:
    """Whether the server answers those who have no token."""
    try:
        urllib.request.urlopen(f"{address}/api/version", timeout=ANSWER_SECONDS).close()
    except OSError:  # an answer of 401, too
        return False
    return True


def _told(log: str, job: Job) -> Iterator[Finding]:
    """The findings in the log of the cluster's doctor, and how its versions differ from ours."""
    lines = [line for line in log.splitlines() if line.startswith("{")]
    try:
        there = Diagnosis.model_validate_json(lines[-1] if lines else "")
    except ValidationError:
        words = (job.last_words or log).strip().rpartition("\n")[2]
        yield failed(
            f"The doctor's job {job.id} ended without findings ({job.state}): {words[:300]}",
            f"see its log with `ray job logs {job.id}`; the image needs pointlab and its dependencies",
        )
        return
    if told := differences(versions(), there.versions):
        yield warned(
            f"The cluster has {told}.",
            "use the cluster's versions here, where results must agree to the last bit",
            "versions",
        )
    for finding in there.findings:
        yield finding.model_copy(update={"check": f"there: {finding.check}"})
