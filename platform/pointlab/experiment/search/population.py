"""Population-based training: members train side by side, and from time to time the worst become the best.

Source: Jaderberg et al., "Population Based Training of Neural Networks", 2017; exploit by truncation,
explore by perturbing or drawing anew. A *trial* is one member's training in one generation: the next
`interval` epochs after what another trial has left. Members are compared when all of a generation are over,
never by the clock, so what comes out depends neither on timing nor on how many train at a time.
"""

from collections.abc import Mapping, Sequence

import numpy as np

from pointlab.experiment.search.experiment import SearchExperiment
from pointlab.experiment.search.settings import Pbt
from pointlab.experiment.search.space import Choice, Distribution, Settings, Value
from pointlab.experiment.search.trials import Trial
from pointlab.seeding import generator

FACTORS = (0.8, 1.2)
"""By which a number is perturbed, one or the other; the paper's."""


def member_of(search: SearchExperiment, trial: Trial) -> int:
    """Which member of the population the trial trains."""
    return trial.number % pbt_of(search).population


def pbt_of(search: SearchExperiment) -> Pbt:
    """The sampler of a search that is known to be of a population."""
    assert isinstance(search.sampler, Pbt), "asked of populations only"
    return search.sampler


def next_of_member(
    search: SearchExperiment, number: int, trials: Mapping[int, Trial], first: Settings
) -> Trial | None:
    """The trial `number`; None while the generation before is not over. A member begins with the `first`
    settings.

    It goes on from its own last trial, or if that is among the worst from one of the best, chosen by lot,
    whose settings are then explored. Where a whole generation has failed, members train anew with settings
    of their own.
    """
    size = pbt_of(search).population
    generation, member = divmod(number, size)
    if generation == 0:
        return Trial(number=number, settings=first)
    numbers = range((generation - 1) * size, generation * size)
    if not all(other in trials and trials[other].is_over for other in numbers):
        return None
    best, worst = _ends([trials[other] for other in numbers], pbt_of(search).quantile)
    if not best:
        return Trial(number=number, settings=first, before=(first,) * generation)
    parent = trials[numbers[member]]
    if parent not in worst:
        return _after(parent, number, parent.settings)
    parent = best[int(generator(search.seed, "exploit", number).integers(len(best)))]
    return _after(parent, number, _explored(search, number, parent.settings))


def lineage(trials: Mapping[int, Trial], trial: Trial) -> list[Trial]:
    """The trial, and before it those that it goes on from, the first in front."""
    found = [trial]
    while found[0].parent is not None:
        found.insert(0, trials[found[0].parent])
    return found


def _after(parent: Trial, number: int, settings: Settings) -> Trial:
    before = (*parent.before, parent.settings)
    return Trial(number=number, settings=settings, parent=parent.number, before=before)


def _ends(trials: Sequence[Trial], quantile: float) -> tuple[list[Trial], list[Trial]]:
    """The best and the worst of a generation, so many of each; all that failed are among the worst."""
    finished = [trial for trial in trials if trial.outcome == "finished"]
    ranked = sorted(finished, key=lambda trial: (-trial.by_epoch[max(trial.by_epoch)], trial.number))
    failed = [trial for trial in trials if trial.outcome != "finished"]
    count = max(1, int(quantile * len(trials)))
    num_worst = max(0, min(count - len(failed), len(ranked) - 1))
    best = ranked[: min(count, len(ranked) - num_worst)]
    return best, [*failed, *ranked[len(ranked) - num_worst :]]


def _explored(search: SearchExperiment, number: int, settings: Settings) -> Settings:
    """Each setting drawn anew now and then, else perturbed."""
    resample = pbt_of(search).resample
    return {
        path: _moved(search.space[path], value, resample, generator(search.seed, "explore", number, path))
        for path, value in settings.items()
    }


def _moved(distribution: Distribution, value: Value, resample: float, draws: np.random.Generator) -> Value:
    """A value next to this one, or any; a choice has none next to it, and stays unless it is drawn anew."""
    anew, share, side = (float(draw) for draw in draws.random(3))
    if anew < resample:
        return distribution.at(share)
    return value if isinstance(distribution, Choice) else distribution.scaled(value, FACTORS[side < 0.5])
