"""Proposals of a search: what its next trial is to try.

A proposal is a function of the seed, its number and the trials that went before: there is no state to keep,
and a search that was killed proposes what it would have proposed. `random` and `grid` look at no trial at
all, a population at its last generation.
"""

from collections.abc import Mapping

from pointlab.experiment.search.experiment import SearchExperiment
from pointlab.experiment.search.population import next_of_member
from pointlab.experiment.search.sampling_by_optuna import ask
from pointlab.experiment.search.settings import Nsga2, Tpe
from pointlab.experiment.search.space import Distribution, Settings, grid_size
from pointlab.experiment.search.trials import Trial
from pointlab.seeding import generator

Space = Mapping[str, Distribution]


def propose(
    search: SearchExperiment, number: int, trials: Mapping[int, Trial], earlier: tuple[Trial, ...] = ()
) -> Trial | None:
    """Trial `number` with what it is to try, or None while the trials that it depends on are not all over.

    `trials` are those of this search so far, `earlier` what other searches found in its space.
    """
    sampler = search.sampler
    if sampler.kind == "grid":
        return Trial(number=number, settings=grid_settings(search.space, search.seed, number))
    if sampler.kind in {"random", "pbt"}:
        drawn = random_settings(search.space, search.seed, number)
        if sampler.kind == "pbt":
            return next_of_member(search, number, trials, drawn)
        return Trial(number=number, settings=drawn)
    assert isinstance(sampler, Tpe | Nsga2), "the other samplers"
    if sampler.batch is None:
        known, place, key = list(trials.values()), 0, number
    else:
        key, place = divmod(number, sampler.batch)
        before = range(key * sampler.batch)
        if not all(other in trials and trials[other].is_over for other in before):
            return None
        known = [trials[other] for other in before]
    settings, remarks = ask(search, (*earlier, *known), key, place)
    return Trial(number=number, settings=settings, remarks=remarks)


def random_settings(space: Space, seed: int, number: int) -> Settings:
    """Each setting drawn from its own range, a choice with equal chances."""
    return {
        path: distribution.at(float(generator(seed, "trial", number, path).random()))
        for path, distribution in space.items()
    }


def grid_settings(space: Space, seed: int, number: int) -> Settings:
    """The point of the grid whose turn it is; the order of the points is drawn by the seed."""
    remaining = int(generator(seed, "grid").permutation(grid_size(dict(space)))[number])
    settings: Settings = {}
    for path, distribution in reversed(list(space.items())):
        remaining, place = divmod(remaining, len(distribution.grid))
        settings[path] = distribution.grid[place]
    return {path: settings[path] for path in space}
