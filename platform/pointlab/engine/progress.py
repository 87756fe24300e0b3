"""Progress from workers to the driver: a small actor that holds the latest figures of each stage."""

import contextlib
import logging
import threading
from collections.abc import Iterator, Mapping
from typing import Any

import ray

from pointlab.training import Watcher

logger = logging.getLogger(__name__)
POLL_SECONDS = 0.3

Update = tuple[int, int, dict[str, float]]


class ProgressBoard:
    """Stage -> (done, total, figures)."""

    def __init__(self) -> None:
        """Start empty."""
        self.stages: dict[str, Update] = {}
        self.announcements: list[str] = []

    def announce(self, text: str) -> None:
        """Add a line for the driver's log."""
        self.announcements.append(text)

    def post(self, stage: str, done: int, total: int, figures: dict[str, float]) -> None:
        """Replace what is known of a stage."""
        self.stages[stage] = (done, total, figures)

    def read(self) -> tuple[list[str], dict[str, Update]]:
        """All announcements and stages."""
        return self.announcements, self.stages


class BoardWatcher:
    """A watcher that posts to a board; it travels to the workers."""

    def __init__(self, board: Any) -> None:
        """Post to `board`."""
        self.board = board

    def __call__(self, stage: str, done: int, total: int, figures: Mapping[str, float]) -> None:
        """Post without waiting."""
        self.board.post.remote(stage, done, total, dict(figures))


@contextlib.contextmanager
def relayed(watcher: Watcher) -> Iterator[BoardWatcher]:
    """A watcher for workers whose posts reach `watcher` in this process while the block runs."""
    board = ray.remote(num_cpus=0)(ProgressBoard).remote()
    done = threading.Event()
    shown: dict[str, Update] = {}
    announced: list[str] = []

    def poll() -> None:
        while not done.wait(POLL_SECONDS):
            forward()

    def forward() -> None:
        announcements, stages = ray.get(board.read.remote())
        for text in announcements[len(announced) :]:
            logger.info("%s", text)
            announced.append(text)
        for stage, update in stages.items():
            if shown.get(stage) != update:
                watcher(stage, *update)
                shown[stage] = update

    thread = threading.Thread(target=poll, daemon=True)
    thread.start()
    try:
        yield BoardWatcher(board)
        forward()
    finally:
        done.set()
        thread.join()
        ray.kill(board)
