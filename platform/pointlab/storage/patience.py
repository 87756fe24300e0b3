"""How long a store that does not answer is asked again: exponential back-off with jitter, then an error.

Every operation on a remote store goes through `Patience.carry_out`. Refusals (no permission, no bucket)
are not waited for; only what raises UnreachableError is done again.
"""

import logging
import math
import os
import random
import threading
import time
from collections.abc import Callable
from typing import TypeVar

from pointlab.errors import StorageError, UnreachableError

logger = logging.getLogger(__name__)
Result = TypeVar("Result")

VARIABLE = "POINTLAB_STORAGE_PATIENCE"
DEFAULT_SECONDS = 600.0
"""Outlasts the restart of a store or a switch; a scheduler's own patience is usually longer."""
FIRST_PAUSE = 0.2
LONGEST_PAUSE = 5.0
"""Short, so that work goes on soon after an outage."""


class Patience:
    """The patience of one process with one store."""

    def __init__(
        self,
        seconds: float,
        where: str,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
        draw: Callable[[], float] = random.random,
    ) -> None:
        """Try for `seconds` after an operation first failed; `where` names the store in the log."""
        self.seconds, self.where = seconds, where
        self._clock, self._sleep, self._draw = clock, sleep, draw
        self._lock = threading.Lock()
        self._outage_began: float | None = None

    def carry_out(self, attempt: Callable[[int], Result]) -> Result:
        """What `attempt(n)` returns, called with 0, 1, ... until it no longer raises UnreachableError.

        Raises UnreachableError when patience has ended, and at once whatever else the attempt raises.
        """
        began: float | None = None
        number = 0
        while True:
            try:
                result = attempt(number)
            except UnreachableError as error:
                now = self._clock()
                began = now if began is None else began
                if now - began >= self.seconds:
                    raise self._ended(error) from None
                self._note_outage(began, error)
                left = began + self.seconds - now
                self._sleep(min(self._pause(number), left))
                number += 1
            else:
                self._note_answer()
                return result

    def _pause(self, number: int) -> float:
        longest = min(LONGEST_PAUSE, FIRST_PAUSE * 2.0 ** min(number, 30))
        return longest * (0.5 + 0.5 * self._draw())  # jitter: workers that failed together come back apart

    def _note_outage(self, began: float, error: UnreachableError) -> None:
        with self._lock:
            if self._outage_began is not None:
                return
            self._outage_began = began
        logger.warning("%s Trying again for up to %.0f s", error.found, self.seconds)

    def _note_answer(self) -> None:
        with self._lock:
            began, self._outage_began = self._outage_began, None
        if began is not None:
            logger.warning("%s answers again after %.0f s", self.where, self._clock() - began)

    def _ended(self, error: UnreachableError) -> UnreachableError:
        return UnreachableError(
            f"{error.found} It was tried again for {self.seconds:.0f} s.",
            remedy=f"{error.remedy}; then run again, as finished work is kept",
        )


def patience_seconds() -> float:
    """Seconds that the environment allows, or the default; StorageError for what is no duration."""
    text = os.environ.get(VARIABLE)
    if text is None:
        return DEFAULT_SECONDS
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if not seconds >= 0:
        raise StorageError(f"{VARIABLE} is {text!r}.", expected="a number of seconds, such as 600")
    return seconds
