"""The doctor on the cluster that a config would be submitted to: the command as a job, and its answer."""

import atexit
import contextlib
import json
import logging
import secrets
import shlex
import threading
import urllib.error
import urllib.request
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from pointlab.doctor.cluster import Cluster
from pointlab.doctor.datasets import Datasets
from pointlab.doctor.environment import Environment, differences, versions
from pointlab.doctor.examination import longest
from pointlab.doctor.exchange import Exchange
from pointlab.doctor.finding import Diagnosis, Finding, passed, skipped, unseen, warned
from pointlab.doctor.nodes import Nodes
from pointlab.doctor.resources import Resources
from pointlab.doctor.store import RoundTrip
from pointlab.doctor.submission import Package, Request
from pointlab.doctor.teachers import Teachers
from pointlab.engine.jobs.job import Job, Order
from pointlab.errors import ClusterError, PointlabError, ResourceError
from pointlab.submission import place_in, variables_for

if TYPE_CHECKING:
    from pointlab.engine.jobs.server import JobServer

logger = logging.getLogger(__name__)
ANSWER_SECONDS = 10.0
BEGINNING = '{"passed":'
"""Of a diagnosis in JSON. Standard error may have said something on the same line, and other lines after."""
SENDING_SECONDS = 600.0
"""For a job to be sent and to start; the first one on a node may install its environment."""
THERE = "there: "
"""Before the name of what was looked at on the cluster."""
STOPPING_SECONDS = 90.0
"""For a job that is asked to end: it has a minute to do so."""


@dataclass(frozen=True)
class OnCluster:
    """The doctor on the cluster: a job that joins it and looks at it from within."""

    request: Request
    name: str = "cluster"

    @property
    def seconds(self) -> float:
        """For a job to be sent and started, to end its longest check, and to be stopped if it does not."""
        request = self.request
        there = longest([Datasets(None, "", request.deep), Cluster(None, "")]) + Teachers.seconds
        return SENDING_SECONDS + there + STOPPING_SECONDS

    @property
    def leads_to(self) -> tuple[str, ...]:
        """What the doctor there looks at."""
        general = (Environment, RoundTrip, Cluster, Nodes, Exchange)
        more = () if self.request.config is None else (Datasets, Resources)
        return tuple(f"{THERE}{check.name}" for check in (*general, *more))

    def run(self) -> Iterator[Finding]:
        """Whether the job server takes us, and what its doctor found."""
        from pointlab.engine.jobs.following import follow
        from pointlab.engine.jobs.package import measured
        from pointlab.engine.jobs.server import JobServer

        server = JobServer(self.request.server)
        yield asked_for_token(server.address)
        package = measured(self.request.folder)
        try:
            package.require_sendable()
        except ResourceError:
            yield from unseen([self.name, *self.leads_to], Package.name)
            return
        name, log = f"doctor-{secrets.token_hex(4)}", list[str]()
        with stopped_after(server, name, self.seconds - STOPPING_SECONDS):
            server.submit(self._order(name, package.files), name)
            logger.info("Waiting for the doctor's job %s on %s", name, server.address)
            job = follow(server, name, log.append)
        yield from told("".join(log), job)

    def _order(self, name: str, shipped: Collection[str]) -> Order:
        request = self.request
        place = [] if request.config is None else [place_in(request.folder, request.config).as_posix()]
        settings = [part for override in request.overrides for part in ("--set", override)]
        root = [] if request.root is None else ["--root", request.root]
        deep = ["--deep"] if request.deep else []
        program = ["python", "-m", "pointlab.cli", "doctor", *place, *settings, *root, *deep, "--json"]
        return Order(name, shlex.join(program), request.folder.absolute(), variables_for(shipped))


def asked_for_token(address: str) -> Finding:
    """Whether the server refuses those who have no token, as it should."""
    check = "token"
    try:
        urllib.request.urlopen(f"{address}/api/version", timeout=ANSWER_SECONDS).close()
    except urllib.error.HTTPError as error:
        if error.code in (401, 403):
            return passed(f"{address} takes ours, and asks for one", check)
        return skipped(f"{address} answered {error.code} to a question without a token.", check)
    except OSError as error:
        return skipped(f"{address} did not answer a question without a token: {error}.", check)
    return warned(
        f"{address} takes jobs without a token: whoever reaches it can run code there.",
        "start its nodes with RAY_AUTH_MODE=token and one RAY_AUTH_TOKEN",
        check,
    )


@contextlib.contextmanager
def stopped_after(server: "JobServer", name: str, seconds: float) -> Iterator[None]:
    """A block that sends and follows a job, which is stopped where the time is up, where the block fails, and
    where this process ends before it (Ctrl-C, SIGTERM)."""

    def stop() -> None:
        with contextlib.suppress(PointlabError):
            server.stop(name)

    clock = threading.Timer(seconds, stop)
    clock.daemon = True
    clock.start()
    atexit.register(stop)
    try:
        yield
    except BaseException:
        stop()
        raise
    finally:
        clock.cancel()
        atexit.unregister(stop)


def told(log: str, job: Job) -> Iterator[Finding]:
    """The findings in the log of the cluster's doctor, and how its versions differ from ours.

    They differ first: another pointlab may say what this one does not understand. Raises ClusterError where
    there are no findings.
    """
    answer = _answer_in(log)
    if other := differences(versions(), answer.get("versions", {})):
        yield warned(
            f"The cluster has {other}.",
            "use the cluster's versions here, where results must agree to the last bit",
            "versions",
        )
    try:
        there = Diagnosis.model_validate(answer)
    except ValidationError:
        if job.state == "STOPPED":
            raise ClusterError(
                f"The doctor's job {job.id} was stopped before its end.",
                remedy="see whether its nodes are busy",
            ) from None
        words = (job.last_words or log).strip().rpartition("\n")[2]
        raise ClusterError(
            f"The doctor's job {job.id} ended without findings ({job.state}): {words[:300]}",
            remedy=f"see its log with `ray job logs {job.id}`; the image needs pointlab and its dependencies",
        ) from None
    for finding in there.findings:
        yield finding.model_copy(update={"check": f"{THERE}{finding.check}"})


def _answer_in(log: str) -> dict[str, Any]:
    """What a doctor has printed last into this log, whatever else stands on its line; empty if nothing."""
    start = log.rfind(BEGINNING)
    if start < 0:
        return {}
    try:
        answer: dict[str, Any] = json.JSONDecoder().raw_decode(log, start)[0]
    except ValueError:
        return {}
    return answer
