"""A job's log as it grows, up to the job's end: a connection that breaks is made anew.

The server sends a log from its beginning to whoever asks, so that a new connection begins where it should by
leaving out what was shown. A log of hours is long, and a connection that says nothing is therefore kept: its
death is TCP's to find out, and whether the job still runs is asked beside it.
"""

import asyncio
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass

import aiohttp

from pointlab.engine.jobs.job import Job
from pointlab.engine.jobs.server import JobServer
from pointlab.errors import ClusterError, NoAnswerError

logger = logging.getLogger(__name__)
Show = Callable[[str], None]
NUM_LAST_TRIES = 3
"""Of asking a cluster that answers for the log of a job that is over."""


@dataclass(frozen=True)
class Patience:
    """Seconds that a log may be silent before the job is looked at, between two attempts to connect, that a
    job may wait for its start before that is told, and that a cluster may be away."""

    silence: float = 60.0
    pause: float = 2.0
    start: float = 20.0
    """A runtime environment and a process of its own take a few seconds on an idle cluster."""
    absence: float = 600.0
    """Ten minutes: a head that is replaced, or a laptop between two networks."""


class Transcript:
    """What has been shown of a log, and when anything was last heard of it."""

    def __init__(self, show: Show) -> None:
        """Nothing yet."""
        self._show, self._length = show, 0
        self.last_sign = time.monotonic()

    def add(self, start: int, text: str) -> None:
        """Show what is new in a piece of the log that begins at this place."""
        self.last_sign = time.monotonic()
        new = text[max(self._length - start, 0) :]
        if new:
            self._show(new)
            self._length = start + len(text)


def follow(server: JobServer, job_id: str, show: Show, patience: Patience | None = None) -> Job:
    """Show the job's log until it ends, and return how; ClusterError where the cluster stays away."""
    patience = patience or Patience()
    transcript, told, begin, last_tries = Transcript(show), "", time.monotonic(), 0
    while True:
        try:
            job = _look(server, job_id, transcript)
            if job.is_over:
                last_tries += 1
                if _is_done_with(server, job_id, transcript, is_last=last_tries == NUM_LAST_TRIES):
                    return job
                news = ""
            elif job.state == "PENDING":
                news = job.message if time.monotonic() - begin > patience.start else ""
            else:
                news = asyncio.run(_read(server, job_id, transcript, patience.silence))
        except NoAnswerError as error:
            seconds = time.monotonic() - transcript.last_sign
            if seconds > patience.absence:
                raise _given_up(server, job_id, seconds) from error
            news = f"{error.found} It goes on without this connection, which is tried again."
        if news and news != told:
            logger.warning("%s: %s", job_id, news)
        told = news
        time.sleep(patience.pause)


def _look(server: JobServer, job_id: str, transcript: Transcript) -> Job:
    """The job as the cluster knows it, which is a sign of it."""
    job = server.look(job_id)
    transcript.last_sign = time.monotonic()
    return job


async def _read(server: JobServer, job_id: str, transcript: Transcript, silence: float) -> str:
    """Show the log up to its end, or to that of the job; what there is to tell where the connection broke.

    NoAnswerError where it is silent, and the cluster does not say whether the job runs.
    """
    pieces, place = server.tail(job_id), 0
    awaited = asyncio.ensure_future(anext(pieces))
    try:
        while True:
            if not (await asyncio.wait([awaited], timeout=silence))[0]:
                if _look(server, job_id, transcript).is_over:
                    return ""
                continue
            piece = awaited.result()
            transcript.add(place, piece)
            place += len(piece)
            awaited = asyncio.ensure_future(anext(pieces))
    except StopAsyncIteration:
        return ""
    except (OSError, aiohttp.ClientError) as error:
        return f"The connection broke ({type(error).__name__}: {error}); the job goes on without it."
    finally:
        awaited.cancel()
        await asyncio.wait([awaited])
        await pieces.aclose()


def _is_done_with(server: JobServer, job_id: str, transcript: Transcript, *, is_last: bool) -> bool:
    """Whether the rest of the log is shown now, or given up, which is told."""
    try:
        transcript.add(0, server.log(job_id))
    except ClusterError as error:  # the node that had the log may be gone
        if isinstance(error, NoAnswerError) and not is_last:
            return False
        logger.warning("%s is over, but the end of its log cannot be had: %s", job_id, error.found)
    return True


def _given_up(server: JobServer, job_id: str, seconds: float) -> ClusterError:
    return ClusterError(
        f"{server.address} has not answered for {seconds:.0f} s; whether {job_id} still runs is not known.",
        remedy="submit again with the same command: it follows a job that runs, or goes on from the"
        " newest checkpoint",
    )
