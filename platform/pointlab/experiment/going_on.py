"""What is short enough to be made again from its beginning ends between two batches, when it is asked to."""

from pointlab.errors import PreemptedError
from pointlab.training import TrainContext


def require_going_on(run: str, context: TrainContext) -> None:
    """Return unless `run` was asked to end; PreemptedError then."""
    if context.should_stop():
        raise PreemptedError(
            f"{run} was asked to end.",
            expected="to go on to the last cloud",
            remedy="run the same command again: it begins anew, for it takes minutes only",
        )
