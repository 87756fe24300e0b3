"""A job's log as it grows, up to the job's end: a connection that breaks is made anew.

The server sends a log from its beginning to whoever asks, so that a new connection begins where it should by
leaving out what was shown. A connection can also die without a word (a laptop that slept, a router that
forgot it): one that was silent for a minute is replaced as well.
"""

import asyncio
import contextlib
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


@dataclass(frozen=True)
class Patience:
    """Seconds that a log may be silent, between two connections, and that a cluster may be away."""

    silence: float = 60.0
    pause: float = 2.0
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
    transcript, told = Transcript(show), ""
    while True:
        news = asyncio.run(_read(server, job_id, transcript, patience.silence))
        try:
            job = server.look(job_id)
        except NoAnswerError as error:
            seconds = time.monotonic() - transcript.last_sign
            if seconds > patience.absence:
                raise _given_up(server, job_id, seconds) from error
            news = f"{error.found} It goes on without this connection, which is tried again."
        else:
            transcript.last_sign = time.monotonic()
            if job.is_over:
                with contextlib.suppress(ClusterError):  # the node that had the log may be gone
                    transcript.add(0, server.log(job_id))
                return job
            news = job.message if job.state == "PENDING" else news
        if news and news != told:
            logger.warning("%s: %s", job_id, news)
        told = news
        time.sleep(patience.pause)


async def _read(server: JobServer, job_id: str, transcript: Transcript, silence: float) -> str:
    """Show the log up to its end, or to a silence; what there is to tell where the connection broke."""
    pieces, place = server.client.tail_job_logs(job_id), 0
    try:
        while True:
            piece = await asyncio.wait_for(anext(pieces), silence)
            transcript.add(place, piece)
            place += len(piece)
    except (StopAsyncIteration, TimeoutError):
        return ""
    except (OSError, RuntimeError, aiohttp.ClientError) as error:
        return f"The connection broke ({type(error).__name__}: {error}); the job goes on without it."
    finally:
        await pieces.aclose()


def _given_up(server: JobServer, job_id: str, seconds: float) -> ClusterError:
    return ClusterError(
        f"{server.address} has not answered for {seconds:.0f} s; whether {job_id} still runs is not known.",
        remedy="submit again with the same command: it follows a job that runs, or goes on from the"
        " newest checkpoint",
    )
