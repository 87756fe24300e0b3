"""Tune's searcher: it hands out the trials of the queue, and notes what Tune says of them."""

import math
from typing import Any

from ray.tune.search import Searcher

from pointlab.engine.search.stopping import EPOCH, GAIN
from pointlab.engine.search.trial import TRIAL
from pointlab.experiment.search.trial_queue import TrialQueue
from pointlab.experiment.search.trials import Trial
from pointlab.training import Watcher, ignore_progress

LOST = "its process or node was lost, more often than launch.max_failures allows"


class QueueSearcher(Searcher):  # type: ignore[misc]
    """A searcher without state of its own: the queue's ledger lies in the store."""

    def __init__(self, name: str, queue: TrialQueue, watcher: Watcher) -> None:
        """Tell the watcher of `name` how far the search is."""
        super().__init__()
        self.name, self.queue, self.watcher = name, queue, watcher
        self.running: dict[str, int] = {}

    def __reduce__(self) -> tuple[Any, ...]:
        """Tune pickles its searchers; a progress bar stays in its process."""
        return QueueSearcher, (self.name, self.queue, ignore_progress)

    def suggest(self, trial_id: str) -> Any:
        """The configuration of a trial; None while it depends on others that are not over."""
        if self.queue.is_empty:
            return Searcher.FINISHED
        trial = self.queue.take()
        if trial is None:
            return None
        self.running[trial_id] = trial.number
        self._tell()
        return {"trial": trial.model_dump_json()}

    def on_trial_result(self, trial_id: str, result: dict[str, Any]) -> None:
        """Remember what a trial has reached; it goes to the store when the trial is over."""
        number = self.running[trial_id]
        before = self.queue.trials[number]
        now = Trial.model_validate_json(result[TRIAL])
        is_epoch = result[EPOCH] > 0 and math.isfinite(result[GAIN])
        judged = {result[EPOCH]: result[GAIN]} if is_epoch else {}
        by_epoch = now.by_epoch | before.by_epoch | judged
        self.queue.trials[number] = now.model_copy(update={"by_epoch": by_epoch})
        self._tell()

    def on_trial_complete(
        self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False
    ) -> None:
        """Note the end of a trial. One that does not say itself how it ended was stopped, or lost."""
        if result is not None and TRIAL in result:
            self.on_trial_result(trial_id, result)
        trial = self.queue.trials[self.running.pop(trial_id)]
        if error:
            trial = trial.model_copy(update={"outcome": "failed", "error": LOST})
        elif not trial.is_over:
            trial = trial.model_copy(update={"outcome": "stopped early"})
        self.queue.note(trial)
        self._tell()

    def _tell(self) -> None:
        figures = {"running": float(len(self.running))}
        goal, trials = self.queue.search.objectives[0], self.queue.trials.values()
        reached = [trial.figures[goal.metric] for trial in trials if trial.outcome == "finished"]
        figures |= {f"best {goal.metric}": max(reached, key=goal.gain)} if reached else {}
        self.watcher(self.name, self.queue.num_over, self.queue.search.total, figures)

    def save(self, checkpoint_path: str) -> None:
        """Keep nothing: Tune's own books are not read again."""

    def restore(self, checkpoint_path: str) -> None:
        """Nothing was kept."""
