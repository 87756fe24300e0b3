"""Proposals of a search: what its next trial is to try.

A proposal is a function of the seed, its number and the trials that went before: there is no state to keep,
and a search that was killed proposes what it would have proposed. `random` and `grid` look at no trial at
all.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from pointlab.experiment.sampling_by_optuna import ask
from pointlab.experiment.search import SearchExperiment
from pointlab.experiment.search_settings import Nsga2, Tpe
from pointlab.experiment.search_space import Distribution, Settings, grid_size
from pointlab.experiment.trials import Trial
from pointlab.seeding import generator

Space = Mapping[str, Distribution]


@dataclass(frozen=True)
class Proposal:
    """The settings to try, and what the sampler notes of them."""

    settings: Settings
    remarks: dict[str, Any] = field(default_factory=dict)


def propose(
    search: SearchExperiment, number: int, trials: Mapping[int, Trial], earlier: tuple[Trial, ...] = ()
) -> Proposal | None:
    """What trial `number` is to try, or None while the trials that it depends on are not all over.

    `trials` are those of this search so far, `earlier` what other searches found in its space.
    """
    sampler = search.sampler
    if sampler.kind == "random":
        return Proposal(random_settings(search.space, search.seed, number))
    if sampler.kind == "grid":
        return Proposal(grid_settings(search.space, search.seed, number))
    assert isinstance(sampler, Tpe | Nsga2), "the other samplers"
    if sampler.batch is None:
        known, place, key = list(trials.values()), 0, number
    else:
        key, place = divmod(number, sampler.batch)
        before = range(key * sampler.batch)
        if not all(other in trials and trials[other].is_over for other in before):
            return None
        known = [trials[other] for other in before]
    return Proposal(*ask(search, (*earlier, *known), key, place))


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
