"""A job is sent, unless it runs already: then it is that one which is meant.

Whether its work is finished, and what of it, only the storage knows, and the job looks there: one that is
sent again finds the record of a finished run, and goes on from the checkpoints of a broken one.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pointlab.engine.jobs.job import Job, Order, next_id
from pointlab.errors import ClusterError

if TYPE_CHECKING:
    from pointlab.engine.jobs.server import JobServer

logger = logging.getLogger(__name__)
MEANING = {
    "SUCCEEDED": "ended well: what it recorded will be found",
    "FAILED": "failed: this goes on from what it saved, if it saved anything",
    "STOPPED": "was stopped: this goes on from what it saved, if it saved anything",
}


@dataclass(frozen=True)
class Sent:
    """The job that carries an order out, and its command; `is_new` unless it ran already."""

    job_id: str
    is_new: bool
    command: str


def send(server: "JobServer", order: Order, begin: Callable[[], None] = lambda: None) -> Sent:
    """Have the cluster carry the order out, once however often it is asked; `begin` is called before a new
    job is sent."""
    attempts = server.attempts(order.name)
    if (running := _running(attempts)) is not None:
        return Sent(running.id, is_new=False, command=running.command)
    if attempts:
        logger.info("%s %s", attempts[-1].id, MEANING[attempts[-1].state])
    last = attempts[-1].attempt_at(order.name) if attempts else 0
    job_id = next_id(order.name, last)
    begin()
    try:
        server.submit(order, job_id)
    except ClusterError:
        if (running := _running(server.attempts(order.name))) is None:
            raise
        return Sent(running.id, is_new=False, command=running.command)  # somebody was quicker by a moment
    return Sent(job_id, is_new=True, command=order.command)


def _running(attempts: list[Job]) -> Job | None:
    return attempts[-1] if attempts and not attempts[-1].is_over else None
