"""TPE and NSGA-II by Optuna, asked without a memory of their own.

Each question is put to a study made for it, which is told every trial so far and draws by a seed of its own.
So the answer depends on nothing that a process would have to keep.
"""

from collections.abc import Sequence
from typing import Any

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution
from optuna.study import StudyDirection
from optuna.trial import TrialState

from pointlab.experiment.search.experiment import SearchExperiment
from pointlab.experiment.search.settings import Direction, Nsga2, Tpe
from pointlab.experiment.search.space import Choice, Distribution, Settings
from pointlab.experiment.search.trials import Trial
from pointlab.seeding import stable_integer

DIRECTIONS: dict[Direction, StudyDirection] = {
    "maximise": StudyDirection.MAXIMIZE,
    "minimise": StudyDirection.MINIMIZE,
}
STATES = {
    "proposed": TrialState.RUNNING,
    "finished": TrialState.COMPLETE,
    "stopped early": TrialState.PRUNED,
    "failed": TrialState.FAIL,
}


def ask(
    search: SearchExperiment, known: Sequence[Trial], key: int, place: int
) -> tuple[Settings, dict[str, Any]]:
    """The proposal at `place` of the batch `key`, with what the sampler notes of it, given the `known`
    trials.

    Those before it in its batch are asked again, as TPE keeps away from what is proposed but not yet over.
    """
    optuna.logging.set_verbosity(optuna.logging.ERROR)  # it announces every study that it makes
    directions = [DIRECTIONS[objective.direction] for objective in search.objectives]
    study = optuna.create_study(sampler=_sampler(search, key), directions=directions)
    space = {path: _distribution(each) for path, each in search.space.items()}
    study.add_trials([_told(search, trial, space) for trial in known])
    for _ in range(place + 1):
        trial = study.ask(space)
    remarks = dict(study.get_trials(deepcopy=False)[trial.number].system_attrs)
    return {path: trial.params[path] for path in search.space}, remarks


def _sampler(search: SearchExperiment, key: int) -> optuna.samplers.BaseSampler:
    seed = stable_integer(search.seed, "sampler", key) % 2**32
    if isinstance(search.sampler, Tpe):
        return optuna.samplers.TPESampler(
            seed=seed, n_startup_trials=search.sampler.startup, constant_liar=True
        )
    assert isinstance(search.sampler, Nsga2), "the others do not ask Optuna"
    return optuna.samplers.NSGAIISampler(seed=seed, population_size=search.sampler.batch)


def _told(
    search: SearchExperiment, trial: Trial, space: dict[str, BaseDistribution]
) -> optuna.trial.FrozenTrial:
    """A trial in Optuna's words; one that was stopped counts by its last epochs."""
    is_finished, goal = trial.outcome == "finished", search.objectives[0]
    return optuna.trial.create_trial(
        state=STATES[trial.outcome],
        values=[trial.figures[objective.metric] for objective in search.objectives] if is_finished else None,
        params=trial.settings,
        distributions=space,
        system_attrs=trial.remarks,
        intermediate_values={epoch: goal.gain(gain) for epoch, gain in trial.by_epoch.items()},
    )


def _distribution(distribution: Distribution) -> BaseDistribution:
    if isinstance(distribution, Choice):
        return CategoricalDistribution(distribution.values)
    return FloatDistribution(distribution.low, distribution.high, log=distribution.kind == "log_uniform")
