"""How training goes, among the metrics that each node of Ray shows to Prometheus.

Ray puts `ray_` before a name, and beside our labels its own, such as the node's address. What a process has
told last is shown as long as the process lives; one that goes on to another run tells that this one is over.
"""

import functools
import math
from collections.abc import Mapping

from ray.util.metrics import Gauge

from pointlab import distributed
from pointlab.training.telemetry import FIGURES

PREFIX = "pointlab_"
LABELS = ("run", "rank")


def publish(run: str, figures: Mapping[str, float]) -> None:
    """Show the figures of this worker of the run; all workers of a run say the same of its loss and speed."""
    labels = {"run": run, "rank": str(distributed.rank())}
    for name, value in figures.items():
        _gauge(name).set(value, tags=labels)


def end(run: str) -> None:
    """Show nothing of the run any more: Ray leaves out what is no number."""
    publish(run, dict.fromkeys(FIGURES, math.nan))


@functools.cache
def _gauge(name: str) -> Gauge:
    return Gauge(PREFIX + name, FIGURES[name], LABELS)
