"""Going on by itself: what may pass is tried again, a bounded number of times without progress.

Ray Train could start lost workers anew by itself, and a few seconds sooner. It cannot tell a lost worker
from a defect, gives up when its controller dies, and counts failures whether or not the run has come
further between them; a new fit, which finds the newest checkpoint like any other, has none of this.
"""

import logging
from collections.abc import Callable
from dataclasses import replace

from ray.exceptions import RayError
from ray.train.v2.api.exceptions import TrainingFailedError

from pointlab.engine.failures import Failure
from pointlab.engine.interruption import Interruption
from pointlab.engine.waiting import find_room
from pointlab.errors import PointlabError, PreemptedError, TrainingError, UnreachableError
from pointlab.experiment.resolve import Findings
from pointlab.training import Run

logger = logging.getLogger(__name__)


class Tally:
    """Failures in a row without a new checkpoint."""

    def __init__(self, run: Run, limit: int) -> None:
        """More than `limit` of them end the run."""
        self.run, self.limit = run, limit
        self.failures = 0
        self.step = self._newest(known=-1)

    def add(self, failure: Failure) -> None:
        """Count one more and say from where it goes on; raises where it is one too many."""
        step = self._newest(known=self.step)
        self.failures = 1 if step > self.step else self.failures + 1
        self.step = step
        if self.failures > self.limit:
            raise self._end(failure) from failure.error
        logger.warning(
            "%s: %s; going on from %s (failure %d of at most %d without a new checkpoint)",
            self.run.name,
            failure.what,
            self.place(),
            self.failures,
            self.limit,
        )

    def place(self) -> str:
        """Where the run stands."""
        return f"step {self.step}" if self.step >= 0 else "the start, as there is no checkpoint"

    def _newest(self, known: int) -> int:
        try:
            return max(self.run.checkpoints(), default=-1)
        except UnreachableError:
            return known

    def _end(self, failure: Failure) -> PointlabError:
        if isinstance(failure.error, PointlabError):
            return failure.error
        return TrainingError(
            f"{self.run.name} ended at failure {self.failures} in a row without a new checkpoint:"
            f" {failure.what}. It stands at {self.place()}.",
            remedy="look for the reason in the logs of that node; running it again goes on from there, and"
            " training.checkpoint_every makes checkpoints closer where nodes are lost often",
        )


def persevere(
    attempt: Callable[[int], Findings],
    judge: Callable[[Exception], Failure],
    tally: Tally,
    interruption: Interruption,
) -> Findings:
    """What `attempt` finds, given a number of workers there is room for; repeated after what may pass."""
    while True:
        size = find_room(interruption.launch, interruption.stop)
        interruption.begin(size)
        try:
            return attempt(size)
        except (TrainingFailedError, RayError) as error:
            failure = judge(error)
            if not failure.may_pass or (interruption.stop.is_set() and _has_left(failure)):
                raise failure.error from error
        if interruption.stop.is_set():
            raise PreemptedError(
                f"The run was asked to end, and {failure.what} meanwhile; it stands at {tally.place()}.",
                remedy="run it again: it goes on from its newest checkpoint",
            )
        if interruption.can_grow and _has_left(failure):
            logger.info("%s: there is room for more than %d workers", tally.run.name, size)
        else:
            leaving = "a node is about to leave" if _has_left(failure) else failure.what
            tally.add(replace(failure, what=leaving))


def _has_left(failure: Failure) -> bool:
    """Whether the workers have saved and ended, as they were asked to."""
    return isinstance(failure.error, PreemptedError)
