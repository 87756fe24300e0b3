"""The process of a trial, as Tune drives it: step by step, from report to report, and to a tidy end.

Tune kills the process of a function that is to be stopped, and with it the controller of its workers; their
places are then freed by an actor of Ray's that asks the state API, which fails where a machine has more than
one Ray. So a trial is asked instead: it saves, gives back its lease and its workers, and is gone.
"""

import queue
import threading
from typing import Any

from ray import tune

from pointlab.engine.search.trial import TrialRunner

FAREWELL_SECONDS = 120.0
"""For a trial that is stopped to end its step and its workers. While others run Tune waits ten minutes before
it kills; after the last of all it waits ten seconds, and what is then killed goes on from its checkpoint."""


class TrialProcess(tune.Trainable):  # type: ignore[misc]
    """Runs one trial in a thread, which waits at each report until Tune wants the next one."""

    def setup(self, config: dict[str, Any], runner: TrialRunner) -> None:
        """Start the trial."""
        self._reports: queue.Queue[dict[str, Any]] = queue.Queue()
        self._may_go_on, self._stop = threading.Semaphore(0), threading.Event()
        self._waits = False
        self._thread = threading.Thread(
            target=runner.run, args=(config, self._report, self._stop), daemon=True
        )
        self._thread.start()

    def step(self) -> dict[str, Any]:
        """The next report."""
        if self._waits:
            self._may_go_on.release()
        self._waits = True
        return self._reports.get()

    def cleanup(self) -> None:
        """End the trial, if it has not ended."""
        self._stop.set()
        self._may_go_on.release()
        self._thread.join(FAREWELL_SECONDS)

    def _report(self, result: dict[str, Any]) -> None:
        self._reports.put(result)
        if not self._stop.is_set():
            self._may_go_on.acquire()
