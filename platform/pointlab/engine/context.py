"""A Ray Train worker as the training loop sees it."""

from collections.abc import Iterator, Mapping
from typing import Any

import ray.train
import ray.train.torch
from ray.train.v2._internal.execution.context import get_train_context

from pointlab import distributed
from pointlab.data.sample import Arrays
from pointlab.engine.feed import ray_feed
from pointlab.engine.gauges import publish
from pointlab.engine.progress import StopQuestion
from pointlab.paradigms import Trainable
from pointlab.storage import Storage
from pointlab.storage.lease import Fence
from pointlab.training import TrainContext
from pointlab.training.context import FeedPlan


class RayContext(TrainContext):
    """Feed, exchange and progress of one worker; rank 0 speaks and listens for all."""

    def __init__(self, storage: Storage, board: Any, stall_timeout: float, fence: Fence | None) -> None:
        """Take the device that Ray gave to this worker; `board` is the driver's."""
        self.storage, self.stall_timeout, self.fence = storage, stall_timeout, fence
        self.telemetry = publish
        self.device = ray.train.torch.get_device()
        self._board = board
        self._is_wanted_to_stop = StopQuestion(board)

    def feed(self, plan: FeedPlan) -> Iterator[Arrays]:
        """A Ray Data stream of this worker's share."""
        return ray_feed(plan)

    def wrap(self, paradigm: Trainable) -> Any:
        """The paradigm, its gradients averaged where there are several workers."""
        return distributed.with_averaged_gradients(paradigm, self.device)

    def announce(self, text: str) -> None:
        """Post to the driver's board."""
        if distributed.rank() == 0:
            self._board.announce.remote(text)

    def watch(self, stage: str, done: int, total: int, figures: Mapping[str, float]) -> None:
        """Post to the driver's board, without waiting."""
        if distributed.rank() == 0:
            self._board.post.remote(stage, done, total, dict(figures))

    def report(self, epoch: int, figures: Mapping[str, float]) -> None:
        """Let the driver and Ray's dashboard have the figures; checkpoints are not Ray's business."""
        if distributed.rank() == 0:
            self._board.report.remote(epoch, dict(figures))
        ray.train.report({"epoch": epoch, **figures})

    def should_stop(self) -> bool:
        """Whether the driver wants the run to end, or one of its nodes is about to leave the cluster.

        Ray's public question about leaving nodes waits for all workers; this reads what it has told each.
        """
        is_leaving = get_train_context().preemption_context.preemption_info is not None
        return is_leaving or (distributed.rank() == 0 and self._is_wanted_to_stop())
