"""What is short enough to be made again from its beginning ends between two batches, when it is asked to."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TypeVar

from pointlab.errors import PreemptedError
from pointlab.training import TrainContext

Item = TypeVar("Item")
Pass = Callable[[], Iterable[Item]]
"""Goes through some clouds once, batch by batch."""
Heed = Callable[[int, int, Mapping[str, float]], None]
"""Told (done, total, figures) between two parts of some work: it shows them, and may end the work there."""


def require_going_on(run: str, context: TrainContext) -> None:
    """Return unless `run` was asked to end; PreemptedError then."""
    if context.should_stop():
        raise PreemptedError(
            f"{run} was asked to end.",
            expected="to go on to the last cloud",
            remedy="run the same command again: it begins anew, for it takes minutes only",
        )


def heed_nothing(done: int, total: int, figures: Mapping[str, float]) -> None:
    """Show nothing, and go on."""


def heeding(run: str, context: TrainContext, stage: str = "") -> Heed:
    """Shows how far the run is, or this `stage` of it, and ends it when it is asked to."""

    def heed(done: int, total: int, figures: Mapping[str, float]) -> None:
        context.watch(f"{run} {stage}".rstrip(), done, total, figures)
        if done < total:
            require_going_on(run, context)

    return heed


def heeded(passes: Sequence[Pass[Item]], heed: Heed) -> tuple[Pass[Item], ...]:
    """The same passes; `heed` is told after each how many are over."""

    def counted(batches: Pass[Item], done: int) -> Pass[Item]:
        def go() -> Iterator[Item]:
            yield from batches()
            heed(done, len(passes), {})

        return go

    return tuple(counted(batches, done) for done, batches in enumerate(passes, start=1))


def while_going_on(batches: Pass[Item], run: str, context: TrainContext) -> Pass[Item]:
    """The same batches, until the run is asked to end: PreemptedError then."""

    def go() -> Iterator[Item]:
        for batch in batches():
            require_going_on(run, context)
            yield batch

    return go
