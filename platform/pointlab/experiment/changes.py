"""Settings that change in mid-training: a schedule of any of them, as population-based training finds it.

Source: Jaderberg et al., "Population Based Training of Neural Networks", 2017. What changes at an epoch holds
from there on; the optimiser's state, the best step so far and the order of the data go on as they are. So a
training with changes is one run that goes on with equal bits after a kill, as any other.
"""

from collections.abc import Collection, Sequence
from itertools import pairwise
from typing import TypeVar

from pydantic import Field, JsonValue

from pointlab.config import StrictModel
from pointlab.experiment.ingredients import with_settings
from pointlab.training import TrainingConfig

MUTABLE = (
    "training.optimiser.learning_rate",
    "training.optimiser.weight_decay",
    "training.optimiser.layer_decay",
    "training.optimiser.head_learning_rate_factor",
    "training.optimiser.betas",
    "training.optimiser.momentum",
    "training.optimiser.clip_norm",
    "training.minimum_learning_rate",
    "augmentation",
    "drop_path_rate",
    "supervised.label_smoothing",
    "supervised.mixing",
)
"""What may change between two steps: neither a shape, nor which clouds a step sees, nor how many steps there
are."""
T = TypeVar("T", bound=StrictModel)


class Change(StrictModel):
    """What holds from an epoch on."""

    epoch: float = Field(gt=0)
    """Epochs that are over when it begins to hold."""
    settings: dict[str, JsonValue] = Field(min_length=1)
    """Values at dotted paths of the transfer."""


def is_mutable(path: str) -> bool:
    """Whether the setting at a dotted path of a transfer may change in mid-training."""
    return any(path == each or path.startswith(f"{each}.") for each in MUTABLE)


def require_mutable(paths: Sequence[str], where: str) -> None:
    """ValueError for the first path whose setting cannot change in mid-training, told to be at `where`."""
    for path in paths:
        if not is_mutable(path):
            raise ValueError(
                f"{where}.{path} cannot change in mid-training, as weights, batches or the number of steps"
                f" would not go on: expected paths within {', '.join(MUTABLE)}"
            )


def require_read(paths: Sequence[str], unread: Collection[str], where: str) -> None:
    """ValueError for the first path whose setting this training ignores, told to be at `where`."""
    for path in paths:
        if any(path == each or path.startswith(f"{each}.") for each in unread):
            raise ValueError(f"{where}.{path} makes no difference to this training: leave it out")


def require_in_order(changes: Sequence[Change], training: TrainingConfig) -> None:
    """ValueError for changes that are not one after the other within the training."""
    epochs = [0.0, *(change.epoch for change in changes), training.end]
    if any(later <= earlier for earlier, later in pairwise(epochs)):
        raise ValueError(
            f"changes are at epochs {', '.join(f'{epoch:g}' for epoch in epochs[1:-1])}: expected each after"
            f" the one before, and all before epoch {training.end:g}, where training ends"
        )


def phases(transfer: T, changes: Sequence[Change], training: TrainingConfig) -> list[T]:
    """The transfer from each change to the next: without changes, its training ending at the next one.

    What an earlier change has set holds until a later one sets it anew.
    """
    until = [*(change.epoch for change in changes), training.until]
    found: list[T] = []
    settings: dict[str, JsonValue] = {"changes": []}
    for number, end in enumerate(until):
        settings = settings | (changes[number - 1].settings if number else {})
        where = f"changes.{number - 1}" if number else "the transfer before its changes"
        found.append(with_settings(transfer, {**settings, "training.until": end}, where))
    return found
