"""How training goes: what a dashboard shows while it runs, and no result depends on.

The loop tells it to its context, which knows who wants to have it: on Ray the metrics of the node
(`engine/gauges.py`), elsewhere nobody.
"""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TypeVar

T = TypeVar("T")
Telemetry = Callable[[str, Mapping[str, float]], None]
"""Told (run, figures), from any thread."""
FIGURES = {
    "samples_per_second": "Samples on which all workers together trained in a second, since the last figure",
    "loss": "Mean loss of training since the last figure",
    "stall_share": "Share of the time since the last figure for which training waited for data",
    "upload_seconds": "Seconds from the taking of the newest checkpoint until it was whole in the store",
}
"""All that is told, and what it is."""


def ignore_telemetry(run: str, figures: Mapping[str, float]) -> None:
    """Tell nobody."""


class Speed:
    """Time and samples of one training, from one figure to the next."""

    def __init__(self, samples: int, clock: Callable[[], float] = time.perf_counter) -> None:
        """Start now, where training has seen so many samples before."""
        self._samples, self._clock = samples, clock
        self._begun, self._waited = clock(), 0.0

    def waiting_for(self, batches: Iterable[T]) -> Iterator[T]:
        """The batches; for as long as the next one is not there, training waits."""
        source = iter(batches)
        while True:
            asked = self._clock()
            try:
                batch = next(source)
            except StopIteration:
                return
            finally:
                self._waited += self._clock() - asked
            yield batch

    def take(self, samples: int) -> dict[str, float]:
        """The figures since they were taken last, where training has seen so many samples by now."""
        now = self._clock()
        elapsed, waited, seen = now - self._begun, self._waited, samples - self._samples
        self._begun, self._waited, self._samples = now, 0.0, samples
        return {"samples_per_second": seen / elapsed, "stall_share": waited / elapsed}
