"""What a failed attempt means: a loss that may pass, memory that ran out, a mistake, or a defect.

Where one worker dies, the others fail as well, in whatever they do with it just then. Such a secondary error
looks like a defect of the code that met it, so the worker itself judges what it caught, while the evidence
is there: an error of the exchange between workers, or any error while another worker no longer answers, is
the loss of a worker.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import ray
import ray.train
import torch.distributed
from ray.exceptions import OutOfMemoryError, RayActorError, RayError, RayTaskError, UserCodeException
from ray.train.v2.api.exceptions import ControllerError, PreemptionError, WorkerGroupError

from pointlab.engine.progress import Member
from pointlab.errors import PointlabError, PreemptedError, TrainingError

ANSWER_SECONDS = 10.0


class LossError(TrainingError):
    """A worker, a node or a connection between them that was lost."""

    is_transient = True


@dataclass(frozen=True)
class Failure:
    """A failed attempt: what happened, what to raise if that is the end, and whether to try again."""

    what: str
    error: BaseException
    may_pass: bool
    lost: tuple[int, ...] = ()
    """Workers whose process is gone."""
    is_memory: bool = False
    """Whether Ray ended one of them because its node's memory was full."""


def judged(error: Exception, members: Mapping[int, Member], rank: int) -> Exception:
    """What a worker's `error` is, seen from the worker `rank`: itself, what caused it, or a LossError."""
    for cause in _chain(error):
        if isinstance(cause, PointlabError) and not isinstance(cause, RayTaskError):
            return cause  # what a data task raised, say, which Ray wraps in a class that is of both kinds
        if _is_of_exchange(cause) or _is_of_ray(cause):
            return LossError(f"Worker {rank} lost what it worked with ({brief(cause)}).")
    gone = [other for other in members if other != rank and not _answers(members[other])]
    if gone:
        numbers = " and ".join(str(number) for number in gone)
        return LossError(f"Worker {rank} failed as worker {numbers} was lost ({brief(error)}).")
    return error


def failure_of(error: Exception) -> Failure:
    """What the end of a fit means for the run, seen from the driver."""
    if isinstance(error, WorkerGroupError):
        return _failure_of_workers(error)
    if isinstance(error, ControllerError):
        cause = error.controller_failure
        is_defect = isinstance(cause, RayTaskError) and not any(
            _is_of_exchange(c) or _is_of_ray(c) for c in _chain(cause)
        )
        return Failure(f"Ray could not run the workers ({brief(cause)})", error, not is_defect)
    if isinstance(error, PreemptionError):
        return Failure("a node was taken away", error, may_pass=True)
    if isinstance(error, RayTaskError):
        return Failure(f"Ray's controller failed ({brief(error)})", error, may_pass=False)
    return Failure(f"Ray's controller was lost ({brief(error)})", error, may_pass=True)


def _failure_of_workers(error: WorkerGroupError) -> Failure:
    """Mistakes count before losses, and losses before defects, which may be a consequence of them."""
    failures = dict(sorted(error.worker_failures.items()))
    known = [e for e in failures.values() if isinstance(e, PointlabError)]
    final = [e for e in known if not e.is_transient and not isinstance(e, PreemptedError)]
    if final:
        return Failure(str(final[0]), final[0], may_pass=False)
    deaths = {rank: e for rank, e in failures.items() if _death(e) is not None}
    if deaths:
        numbers = " and ".join(map(str, deaths))
        is_memory = any(isinstance(_death(e), OutOfMemoryError) for e in deaths.values())
        return Failure(f"worker {numbers} was lost", error, True, tuple(deaths), is_memory)
    if known:
        told = min(known, key=lambda e: isinstance(e, LossError))  # it says less than any other
        return Failure(told.found.rstrip("."), told, may_pass=True)
    defect = next(iter(failures.values()))
    return Failure(brief(defect), defect, may_pass=False)


def _death(error: BaseException) -> BaseException | None:
    """Why Ray's question to a worker had no answer, if that is what `error` is."""
    if type(error).__name__ == "WorkerHealthCheckTimeoutError":
        return error
    reason = getattr(error, "health_check_failure", None)
    return reason if isinstance(reason, RayError) and not isinstance(reason, RayTaskError) else None


def _is_of_exchange(error: BaseException) -> bool:
    """Whether a message between workers failed; gloo has no exceptions of its own, but says its name."""
    if isinstance(error, torch.distributed.DistError):
        return True
    return isinstance(error, RuntimeError) and "gloo/" in str(error)


def _is_of_ray(error: BaseException) -> bool:
    """Whether Ray lost something, as opposed to passing on what a task of ours raised."""
    return isinstance(error, RayError) and not isinstance(error, RayTaskError | UserCodeException)


def _answers(member: Member) -> bool:
    try:
        ray.get(member.actor.execute.remote(int), timeout=ANSWER_SECONDS)
    except (RayActorError, ray.exceptions.GetTimeoutError):
        return False
    return True


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        cause = error.cause if isinstance(error, RayTaskError) else None
        error = cause if isinstance(cause, BaseException) and cause is not error else error.__cause__


def brief(error: BaseException) -> str:
    """The first sentence of an error, without the file of gloo's that it may begin with."""
    if isinstance(error, RayTaskError) and isinstance(error.cause, Exception):
        error = error.cause
    lines = re.sub(r"^\[\S+\] ", "", str(error).strip()).splitlines() or [""]
    sentence = lines[0].partition(". ")[0].rstrip(".")[:200]
    return f"{type(error).__name__}: {sentence}" if sentence else type(error).__name__
