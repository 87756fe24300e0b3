"""What earlier searches found, told to the sampler of a new one."""

from collections.abc import Mapping

from pointlab.experiment.search.experiment import SearchExperiment
from pointlab.experiment.search.space import Distribution, Settings
from pointlab.experiment.search.trials import Trial, TrialLedger
from pointlab.storage import Storage
from pointlab.storage.record import no_record


def earlier_trials(search: SearchExperiment, storage: Storage) -> tuple[tuple[Trial, ...], int]:
    """The finished trials of `search.warm_start` that this search could have tried, and how many it could
    not.

    Those are trials outside its space, with settings that it does not have, or without its objectives. Raises
    StorageError for a run that has no trials.
    """
    finished = [
        trial
        for run in search.warm_start
        for trial in _trials_of(run, storage).values()
        if trial.outcome == "finished"
    ]
    metrics = {objective.metric for objective in search.objectives}
    fitting = [t for t in finished if _lies_in(t.settings, search.space) and metrics <= t.figures.keys()]
    told = tuple(trial.model_copy(update={"remarks": {}}) for trial in fitting)
    return told, len(finished) - len(told)


def _trials_of(run: str, storage: Storage) -> Mapping[int, Trial]:
    trials = TrialLedger(storage, run).read()
    if not trials:
        raise no_record(storage, run)
    return trials


def _lies_in(settings: Settings, space: Mapping[str, Distribution]) -> bool:
    return settings.keys() == space.keys() and all(space[path].holds(settings[path]) for path in space)
