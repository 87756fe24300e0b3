"""Progress from workers to the driver, and the wish to end from the driver to the workers.

Both travel through a small actor, the board, which lives where the driver does: no lost node takes it away.
"""

import contextlib
import logging
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import ray
from ray.exceptions import RayError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from pointlab.training import Watcher

logger = logging.getLogger(__name__)
POLL_SECONDS = 0.3
ASK_SECONDS = 0.25

Update = tuple[int, int, dict[str, float]]
Report = tuple[int, dict[str, float]]
Reporter = Callable[[int, Mapping[str, float]], None]
"""Told of each validation: its epoch and its figures."""


@dataclass(frozen=True)
class Member:
    """A worker of the present group: its process, and its node as it was when the group began."""

    actor: Any
    address: str
    node_id: str
    oom_kills: int


class ProgressBoard:
    """Stage -> (done, total, figures); the present group's members; whether they should end."""

    def __init__(self) -> None:
        """Start empty."""
        self.stages: dict[str, Update] = {}
        self.reports: list[Report] = []
        self.announcements: list[str] = []
        self.begin()

    def begin(self) -> None:
        """A new group of workers starts."""
        self._members: dict[int, Member] = {}
        self._should_stop = False

    def enlist(self, rank: int, member: Member) -> None:
        """Add a worker of the group."""
        self._members[rank] = member

    def members(self) -> dict[int, Member]:
        """The group, by rank."""
        return self._members

    def ask_to_stop(self) -> None:
        """Want the present group to save and end."""
        self._should_stop = True

    def should_stop(self) -> bool:
        """Whether the present group is wanted to end."""
        return self._should_stop

    def announce(self, text: str) -> None:
        """Add a line for the driver's log."""
        self.announcements.append(text)

    def post(self, stage: str, done: int, total: int, figures: dict[str, float]) -> None:
        """Replace what is known of a stage."""
        self.stages[stage] = (done, total, figures)

    def report(self, epoch: int, figures: dict[str, float]) -> None:
        """Add what a validation found."""
        self.reports.append((epoch, figures))

    def read(self) -> tuple[list[str], dict[str, Update], dict[int, Member]]:
        """All announcements, stages and members."""
        return self.announcements, self.stages, self._members

    def reported(self) -> list[Report]:
        """All that validations found, the first of them first."""
        return self.reports


class StopQuestion:
    """Whether the driver wants the run to end: asked of the board now and then, and never waited for."""

    def __init__(self, board: Any) -> None:
        """Ask `board`."""
        self._board = board
        self._asked: Any = None
        self._next = 0.0
        self._answer = False

    def __call__(self) -> bool:
        """The latest answer; cheap enough for every step."""
        now = time.monotonic()
        if now >= self._next and not self._answer:
            self._next = now + ASK_SECONDS
            if self._asked is None:
                self._asked = self._board.should_stop.remote()
            elif ray.wait([self._asked], timeout=0)[0]:
                with contextlib.suppress(RayError):  # without its driver a run ends anyway
                    self._answer = ray.get(self._asked)
                self._asked = self._board.should_stop.remote()
        return self._answer


@dataclass(frozen=True)
class _Relay:
    """Hands over what is new on a board, each thing once."""

    board: Any
    watcher: Watcher
    reporter: Reporter | None
    shown: dict[str, Update] = field(default_factory=dict)
    announced: list[str] = field(default_factory=list)
    reported: list[Report] = field(default_factory=list)

    def forward(self) -> dict[int, Member]:
        """Log, show and report; what comes back are the members of the group at work."""
        members: dict[int, Member]
        announcements, stages, members = ray.get(self.board.read.remote())
        for text in announcements[len(self.announced) :]:
            logger.info("%s", text)
            self.announced.append(text)
        for stage, update in stages.items():
            if self.shown.get(stage) != update:
                self.watcher(stage, *update)
                self.shown[stage] = update
        if self.reporter is not None:
            for report in ray.get(self.board.reported.remote())[len(self.reported) :]:
                self.reported.append(report)
                self.reporter(*report)
        return members


@contextlib.contextmanager
def relayed(
    watcher: Watcher,
    wants_to_stop: Callable[[Mapping[int, Member]], bool],
    reporter: Reporter | None = None,
) -> Iterator[Any]:
    """A board whose posts reach `watcher`, and whose reports `reporter`, in this process while the block
    runs.

    The group that is at work is asked to end as soon as `wants_to_stop` says so. What any of the three raises
    is raised at the end of the block.
    """
    here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
    board = ray.remote(num_cpus=0, scheduling_strategy=here)(ProgressBoard).remote()
    relay, done = _Relay(board, watcher, reporter), threading.Event()
    failures: list[Exception] = []

    def poll() -> None:
        while not done.wait(POLL_SECONDS):
            try:
                if wants_to_stop(relay.forward()):
                    board.ask_to_stop.remote()
            except RayError:
                continue  # the board is away for a moment, or for good: the run itself will say so
            except Exception as error:  # in this thread nobody would see it
                failures.append(error)

    thread = threading.Thread(target=poll, daemon=True)
    thread.start()
    try:
        yield board
        done.set()
        thread.join()  # or a report would be told twice
        with contextlib.suppress(RayError):
            relay.forward()
        if failures:
            raise failures[0]
    finally:
        done.set()
        thread.join()
        ray.kill(board)
