"""Which trial of a search is next: those that an earlier start left unfinished, then new ones.

A trial that failed is run once more at every start of the search, under the same settings: what was wrong,
such as a full disk, may have been put right. Within one start a failure is final. So is one of a population
whose next generation has been proposed: members have gone on from others, and nobody would from this one.
"""

from collections.abc import Mapping

from pointlab.experiment.search.experiment import SearchExperiment
from pointlab.experiment.search.sampling import propose
from pointlab.experiment.search.settings import Pbt
from pointlab.experiment.search.trials import Trial, TrialLedger


class TrialQueue:
    """Hands out trials, each noted in the ledger before it starts, and takes back what came of them."""

    def __init__(
        self, search: SearchExperiment, ledger: TrialLedger, earlier: tuple[Trial, ...] = ()
    ) -> None:
        """Go on from what the ledger holds; `earlier` is what the sampler is told of other searches."""
        self.search, self.ledger, self.earlier = search, ledger, earlier
        known = ledger.read()
        again = _first_of_use(search, known)
        self.trials: dict[int, Trial] = {
            number: _afresh(trial) if trial.outcome == "failed" and number >= again else trial
            for number, trial in sorted(known.items())
        }
        self._waiting = [number for number in range(search.total) if not self._is_over(number)]

    @property
    def is_empty(self) -> bool:
        """Whether every trial has been handed out."""
        return not self._waiting

    @property
    def num_waiting(self) -> int:
        """How many have not."""
        return len(self._waiting)

    @property
    def num_over(self) -> int:
        """How many are over."""
        return sum(trial.is_over for trial in self.trials.values())

    def take(self) -> Trial | None:
        """The next trial; None where its proposal has to wait for others to be over."""
        assert self._waiting, "nobody asks an empty queue"
        number = self._waiting[0]
        trial = self.trials.get(number)
        if trial is None:
            trial = propose(self.search, number, self.trials, self.earlier)
            if trial is None:
                return None
            self.note(trial)
        self._waiting.pop(0)
        return trial

    def note(self, trial: Trial) -> None:
        """Keep what is known of a trial now."""
        self.ledger.write(trial)
        self.trials[trial.number] = trial

    def _is_over(self, number: int) -> bool:
        return number in self.trials and self.trials[number].is_over


def _first_of_use(search: SearchExperiment, known: Mapping[int, Trial]) -> int:
    """The first trial that others could still go on from: of a population, of its latest generation."""
    if not isinstance(search.sampler, Pbt) or not known:
        return 0
    return max(known) // search.sampler.population * search.sampler.population


def _afresh(trial: Trial) -> Trial:
    proposed = ("number", "settings", "parent", "before", "remarks")
    return Trial(**{name: getattr(trial, name) for name in proposed})
