"""What the loop needs from where it runs, and the plain version of it: in this process.

The other version lives in the engine and trains on Ray's workers. Rank and reductions are not part of
it: they come from `distributed`, whoever made the process group.
"""

import logging
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import torch
from torch import nn

from pointlab.data.batches import Recipe, training_arrays
from pointlab.data.cache import open_split
from pointlab.data.order import Share
from pointlab.data.sample import Arrays
from pointlab.paradigms import Trainable
from pointlab.storage import Storage
from pointlab.storage.lease import Fence
from pointlab.training.telemetry import Telemetry, ignore_telemetry

logger = logging.getLogger(__name__)

Watcher = Callable[[str, int, int, Mapping[str, float]], None]
"""Told (stage, done, total, figures) as work goes on: a progress bar, or Ray Tune."""


def ignore_progress(stage: str, done: int, total: int, figures: Mapping[str, float]) -> None:
    """Watch nothing."""


@dataclass(frozen=True)
class FeedPlan:
    """Which samples a worker is fed: its share of steps `first_step` to `num_steps` of a dataset's stream."""

    storage: Storage
    dataset: str
    recipe: Recipe
    share: Share
    first_step: int
    num_steps: int


class TrainContext(ABC):
    """Where a training loop runs."""

    device: torch.device
    storage: Storage
    fence: Fence | None = None
    """Proof that this run is ours to write, checked before each checkpoint."""
    stall_timeout: float = 900
    """Seconds without a batch after which the feed counts as hung."""
    telemetry: Telemetry = staticmethod(ignore_telemetry)
    """Told how training goes, as it goes."""

    @abstractmethod
    def feed(self, plan: FeedPlan) -> Iterator[Arrays]:
        """This worker's samples of each step, one step after the other."""

    @abstractmethod
    def wrap(self, paradigm: Trainable) -> nn.Module:
        """The module to call for a step, its gradients averaged over the workers."""

    @abstractmethod
    def announce(self, text: str) -> None:
        """Tell the user what is about to start."""

    @abstractmethod
    def watch(self, stage: str, done: int, total: int, figures: Mapping[str, float]) -> None:
        """Show how far the work is; cheap enough for every step."""

    @abstractmethod
    def report(self, epoch: int, figures: Mapping[str, float]) -> None:
        """Hand over a validation's figures; a searcher may end the run here."""

    def should_stop(self) -> bool:
        """Whether this worker was asked to end, as a preempted one is; asked after every step."""
        return False


class LocalContext(TrainContext):
    """Training in this process."""

    def __init__(
        self,
        storage: Storage,
        watcher: Watcher = ignore_progress,
        *,
        reporter: Callable[[int, Mapping[str, float]], None] | None = None,
        device: torch.device | None = None,
        fence: Fence | None = None,
        stop: threading.Event | None = None,
        stall_timeout: float = TrainContext.stall_timeout,
        telemetry: Telemetry = ignore_telemetry,
    ) -> None:
        """`reporter` gets each validation's epoch and figures; the device defaults to a GPU where present.

        `stop` asks the run to save and end.
        """
        self.storage = storage
        self.device = device or default_device()
        self.fence, self.stall_timeout, self.telemetry = fence, stall_timeout, telemetry
        self._watcher, self._reporter, self._stop = watcher, reporter, stop

    def feed(self, plan: FeedPlan) -> Iterator[Arrays]:
        """Batches gathered from the memory-mapped cache."""
        split = open_split(plan.storage, plan.dataset, "train")  # at once: filling the cache may take long
        steps = range(plan.first_step, plan.num_steps)
        return (training_arrays(split, plan.share.positions(step), plan.recipe) for step in steps)

    def wrap(self, paradigm: Trainable) -> nn.Module:
        """The paradigm itself, as there is one worker."""
        return paradigm

    def announce(self, text: str) -> None:
        """Log it."""
        logger.info("%s", text)

    def watch(self, stage: str, done: int, total: int, figures: Mapping[str, float]) -> None:
        """Pass it on to the watcher."""
        self._watcher(stage, done, total, figures)

    def report(self, epoch: int, figures: Mapping[str, float]) -> None:
        """Pass it on to the reporter."""
        if self._reporter is not None:
            self._reporter(epoch, figures)

    def should_stop(self) -> bool:
        """Whether `stop` is set."""
        return self._stop is not None and self._stop.is_set()


def default_device() -> torch.device:
    """The current GPU where there is one, else the CPU."""
    return (
        torch.device("cuda", torch.cuda.current_device())
        if torch.cuda.is_available()
        else torch.device("cpu")
    )
