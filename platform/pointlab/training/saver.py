"""Checkpoints off the critical path: a thread stores one while the next steps run.

Training pays for a copy of its state; serialising, hashing, uploading and verifying happen behind it. At
most one checkpoint is on its way: where the next is due first, training waits, so a slow store bounds how
much is kept in memory and how much work an interruption can cost.
"""

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import Any

from pointlab.training.checkpoint import Snapshot
from pointlab.training.run import Run

logger = logging.getLogger(__name__)
Logs = Mapping[str, Sequence[Mapping[str, Any]]]


class Saver:
    """Stores snapshots of `run` one after the other and keeps the newest `keep` checkpoints.

    As a context manager it waits at its end for what is on its way. `tell_lag` is told of each checkpoint, in
    the thread that stores it, for how many seconds it was on its way.
    """

    def __init__(self, run: Run, keep: int, tell_lag: Callable[[float], None] = lambda _: None) -> None:
        """Start idle."""
        self.run, self.keep, self.tell_lag = run, keep, tell_lag
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="checkpoint")
        self._on_its_way: Future[None] | None = None

    def submit(self, snapshot: Snapshot, logs: Logs) -> None:
        """Store `snapshot`, with the lines of each log since the one before, after the one on its way."""
        taken = time.monotonic()
        self.wait()
        self._on_its_way = self._thread.submit(self._store, snapshot, logs, taken)

    def wait(self) -> None:
        """Wait until everything submitted is stored; raises the StorageError that kept it from being."""
        if self._on_its_way is not None:
            on_its_way, self._on_its_way = self._on_its_way, None
            on_its_way.result()

    def check(self) -> None:
        """Raise the error of the last checkpoint if it has failed; never waits."""
        if self._on_its_way is not None and self._on_its_way.done():
            self.wait()

    def _store(self, snapshot: Snapshot, logs: Logs, taken: float) -> None:
        """Logs before the checkpoint that makes them count, old checkpoints last."""
        self.run.require_lease()
        for log, lines in logs.items():
            self.run.write_log(snapshot.step, lines, log)
        details = {"step": snapshot.step, "conditions": snapshot.conditions}
        self.run.write_checkpoint(snapshot.step, snapshot.files(), details)
        self.tell_lag(time.monotonic() - taken)
        self.run.require_lease()
        self.run.retain(self.keep)

    def __enter__(self) -> "Saver":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        try:
            if not isinstance(error, KeyboardInterrupt):
                self.wait()
        except Exception as lost:
            if error is None:
                raise
            logger.warning("The last checkpoint could not be stored: %s", lost)
        finally:
            self._thread.shutdown(wait=False)
