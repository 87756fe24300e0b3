"""Workers to which something happens after a certain step: what the tests of survival train."""

import os
import signal
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from pointlab import distributed
from pointlab.data.sample import Arrays
from pointlab.experiment.pretraining import pretrain
from pointlab.experiment.resolve import Findings, Resolved
from pointlab.training import TrainContext
from pointlab.training.context import FeedPlan


class Struck(TrainContext):
    """A worker's context that does `act` when so many steps are done, and is else that of the worker."""

    def __init__(self, own: TrainContext, step: int, act: Callable[[], None]) -> None:
        self.own, self.step, self.act = own, step, act
        self.device, self.storage = own.device, own.storage
        self.fence, self.stall_timeout = own.fence, own.stall_timeout

    def feed(self, plan: FeedPlan) -> Iterator[Arrays]:
        self.step -= plan.first_step
        return self.own.feed(plan)

    def wrap(self, paradigm: Any) -> Any:
        return self.own.wrap(paradigm)

    def announce(self, text: str) -> None:
        self.own.announce(text)

    def watch(self, stage: str, done: int, total: int, figures: Mapping[str, float]) -> None:
        self.own.watch(stage, done, total, figures)

    def report(self, epoch: int, figures: Mapping[str, float]) -> None:
        self.own.report(epoch, figures)

    def should_stop(self) -> bool:
        self.step -= 1
        if self.step == 0:
            self.act()
        return self.own.should_stop()


class DiesThenLeaves:
    """The pretraining, whose last worker is killed after some step, and which is later asked to end.

    Both happen once: a group that was killed leaves a scar, and one that goes on after `leaves` is past it.
    At `leaves` the first worker waits until it hears of the wish to end, so that no timing matters.
    """

    def __init__(self, dies: int, leaves: int, scar: Path) -> None:
        self.dies, self.leaves, self.scar = dies, leaves, scar

    def __call__(self, resolved: Resolved[Any], context: TrainContext) -> Findings:
        if distributed.rank() == 0:
            return pretrain(resolved, Struck(context, self.leaves, lambda: self.wait(context)))
        return pretrain(resolved, Struck(context, self.dies, self.die))

    def die(self) -> None:
        if not self.scar.exists():
            self.scar.touch()
            os.kill(os.getpid(), signal.SIGKILL)

    def wait(self, context: TrainContext) -> None:
        end = time.monotonic() + 60
        while not context.should_stop() and time.monotonic() < end:
            time.sleep(0.05)


class Defective:
    """A stage in which the last worker runs into a defect, while the others wait for it."""

    def __init__(self, attempts: Path) -> None:
        self.attempts = attempts

    def __call__(self, resolved: Resolved[Any], context: TrainContext) -> Findings:
        if distributed.rank() == distributed.world_size() - 1:
            self.attempts.write_text(self.attempts.read_text() + "x")
            raise TypeError("a defect of ours")
        distributed.barrier()
        return Findings({})
