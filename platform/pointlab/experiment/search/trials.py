"""The ledger of a search: each of its trials as a file of the store, from the moment it is proposed.

`runs/<search>/trials/<number>.json` is written before a trial starts and replaced when it is over, so a
search that is killed goes on where it was: what is over is not run again, and what is not is run under the
same settings. The one writer is whoever holds the search's lease.
"""

from collections.abc import Mapping
from typing import Any, Literal, NamedTuple

from pydantic import BaseModel, ConfigDict, ValidationError

from pointlab.errors import DamagedError
from pointlab.experiment.search.space import Settings
from pointlab.storage import Storage
from pointlab.storage.lease import Fence, require

Outcome = Literal["proposed", "finished", "stopped early", "failed"]
"""A trial that is only proposed is to be run, or is being run, or was when its search was killed."""


class Cost(NamedTuple):
    """What a run took: its training samples and its seconds."""

    samples: int
    seconds: float


class Trial(BaseModel):
    """One trial: what it was to try, and what came of it."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    number: int
    settings: Settings
    parent: int | None = None
    """In population-based training the trial whose end it goes on from; None begins at the beginning."""
    before: tuple[Settings, ...] = ()
    """The settings of the generations before, one after the other, as they were trained: its parent's."""
    remarks: dict[str, Any] = {}
    """What the sampler notes of its own proposal, such as the generation."""
    outcome: Outcome = "proposed"
    figures: dict[str, float] = {}
    """Its objectives by metric, once it is finished."""
    by_epoch: dict[int, float] = {}
    """What stopping compares, after each epoch that was reported."""
    coefficient: float | None = None
    epochs: int = 0
    costs: dict[str, Cost] = {}
    """What its runs took: its own, and the fine-tuning of a mixture, which trials may share."""
    run: str = ""
    error: str = ""

    @property
    def is_over(self) -> bool:
        """Whether there is nothing left to run."""
        return self.outcome != "proposed"


class TrialLedger:
    """The trials of one search, as they are in the store."""

    def __init__(self, storage: Storage, run: str, fence: Fence | None = None) -> None:
        """Open the ledger of the search `run`, which may have none yet; with a `fence`, write only under
        it."""
        self.storage, self.folder, self.fence = storage, f"runs/{run}/trials", fence

    def read(self) -> dict[int, Trial]:
        """Every trial by its number; DamagedError for a file that is not one."""
        names = self.storage.files(self.folder)
        return {trial.number: trial for trial in (self._read(f"{self.folder}/{name}") for name in names)}

    def one(self, number: int) -> Trial:
        """The trial of that number, which is there."""
        return self._read(f"{self.folder}/{number:05d}.json")

    def write(self, trial: Trial) -> None:
        """Note a trial, in the place of what was noted of it before; LeaseError where the search was taken
        over."""
        if self.fence is not None:
            require(self.storage, self.fence)
        content = trial.model_dump_json(indent=1, exclude_defaults=True).encode()
        self.storage.write(f"{self.folder}/{trial.number:05d}.json", content)

    def _read(self, path: str) -> Trial:
        try:
            return Trial.model_validate_json(self.storage.read(path))
        except ValidationError as error:
            raise DamagedError(
                f"{self.storage.locate(path)} is not the note of a trial: {error.error_count()} mistake(s).",
                remedy="delete the file: the search proposes that trial again",
            ) from None


def counted(trials: Mapping[int, Trial]) -> dict[str, int]:
    """How many trials came to each outcome."""
    found = [trial.outcome for trial in trials.values()]
    return {outcome: found.count(outcome) for outcome in dict.fromkeys(sorted(found))}
