"""How stable the order of the starts is: their ranks, how often each would come first, and who agrees.

Starts are ranked where they compete: under one measure and protocol, on one backbone, at the places that
have the same starts. Seeds are drawn again for all starts at once, so that what a seed does to all of them
cancels out.
"""

import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from statistics import fmean

import numpy as np
from jaxtyping import Float

from pointlab.study.bootstrap import can_be_resampled, resampled_means
from pointlab.study.clusters import Draw, mean_of, strata_of
from pointlab.study.comparison import Measured, Row, place_of
from pointlab.study.statistics import NO_SPREAD


@dataclass(frozen=True)
class Place:
    """Where the starts of a contest meet: their figures, in its order, and the pretrainings they rest on."""

    route: str
    labels: str
    seed: int
    values: Float[np.ndarray, " starts"]
    pretrainings: tuple[str, ...]


@dataclass(frozen=True)
class Contest:
    """Starts that meet at the same places."""

    measure: str
    protocol: str
    backbone: str
    starts: tuple[str, ...]
    places: tuple[Place, ...]

    @property
    def about(self) -> Row:
        """What its rows have in common."""
        return {
            "measure": self.measure,
            "protocol": self.protocol,
            "backbone": self.backbone,
            "routes": ", ".join(dict.fromkeys(place.route for place in self.places)),
        }


def ranking(measured: Iterable[Measured]) -> Iterator[Row]:
    """A row for each start of each contest: its mean rank, 1 being the best, and how often it comes first.

    The ranks are those at each place, ties sharing theirs; `first_share` is the share of bootstrap draws in
    which its mean figure is the highest, "" where a route has a single seed. Routes count alike.
    """
    for contest in _contests(measured):
        number = len(contest.starts)
        strata = strata_of(_draw(contest, place) for place in contest.places)
        ranks = mean_of(strata)[number:]
        shares: Sequence[float | str] = [""] * number
        if can_be_resampled(strata):
            shares = _first_shares(resampled_means(strata)[:, :number]).tolist()
        for start, rank, share in zip(contest.starts, ranks.tolist(), shares, strict=True):
            yield {
                **contest.about,
                "start": start,
                "mean_rank": rank,
                "first_share": share,
                "places": float(len(contest.places)),
                "seeds": float(len({place.seed for place in contest.places})),
            }


def agreement(measured: Iterable[Measured]) -> Iterator[Row]:
    """A row for each contest and what it was repeated over: Kendall's tau between the orders that came out.

    Of every two seeds, and of every two routes, at the places that both have: the mean, and the least.
    """
    axes: dict[str, tuple[Callable[[Place], object], Callable[[Place], object]]] = {
        "seeds": (lambda place: place.seed, lambda place: (place.route, place.labels)),
        "routes": (lambda place: place.route, lambda place: (place.labels, place.seed)),
    }
    for contest in _contests(measured):
        for over, (level, rest) in axes.items():
            levels: dict[object, dict[object, Float[np.ndarray, " starts"]]] = {}
            for place in contest.places:
                levels.setdefault(level(place), {})[rest(place)] = place.values
            found = [tau for a, b in itertools.combinations(levels.values(), 2) for tau in _taus(a, b)]
            if found:
                agreed: Row = {"tau": fmean(found), "least": min(found), "levels": float(len(levels))}
                yield {**contest.about, "over": over, **agreed}


def ranks_of(values: Float[np.ndarray, " starts"]) -> Float[np.ndarray, " starts"]:
    """1 for the highest figure; those that tie share the mean of their ranks."""
    return np.asarray((len(values) + 1 - _signs(values).sum(axis=1)) / 2)


def kendall_tau(first: Float[np.ndarray, " starts"], second: Float[np.ndarray, " starts"]) -> float | None:
    """Tau-b of two lists of figures: 1 where they order all pairs alike, -1 where they never do.

    None where one of them leaves all tied (Kendall, The Treatment of Ties in Ranking Problems, 1945).
    """
    one, other = _signs(first), _signs(second)
    untied = np.sqrt(np.square(one).sum() * np.square(other).sum())
    return float((one * other).sum() / untied) if untied > 0 else None


def _signs(values: Float[np.ndarray, " starts"]) -> Float[np.ndarray, "starts starts"]:
    """Of every difference, 0 where it is but rounding."""
    differences = values[:, None] - values
    return np.where(np.abs(differences) < NO_SPREAD, 0.0, np.sign(differences))


def _taus(
    one: dict[object, Float[np.ndarray, " starts"]], other: dict[object, Float[np.ndarray, " starts"]]
) -> list[float]:
    """Tau of the mean figures at the places that both have: one, or none."""
    common = [place for place in one if place in other]
    if not common:
        return []
    means = (np.mean([side[place] for place in common], axis=0) for side in (one, other))
    tau = kendall_tau(*means)
    return [] if tau is None else [tau]


def _contests(measured: Iterable[Measured]) -> list[Contest]:
    """All with two starts or more, their starts in the order in which these first appear."""
    cells: dict[tuple[str, tuple[object, ...]], dict[str, Measured]] = {}
    order: dict[str, None] = {}
    for cell in measured:
        cells.setdefault((cell.measure, place_of(cell.levels)), {})[cell.levels.start] = cell
        order.setdefault(cell.levels.start)
    contests: dict[tuple[str, str, str, tuple[str, ...]], list[Place]] = {}
    for found in cells.values():
        starts = tuple(start for start in order if start in found)
        (first, *_) = (found[start] for start in starts)
        key = (first.measure, first.levels.protocol, first.levels.backbone, starts)
        contests.setdefault(key, []).append(_place([found[start] for start in starts]))
    return [Contest(*key, tuple(places)) for key, places in contests.items() if len(key[-1]) > 1]


def _place(cells: Sequence[Measured]) -> Place:
    levels = cells[0].levels
    values = np.array([cell.value for cell in cells])
    pretrainings = tuple(cell.pretraining for cell in cells)
    return Place(levels.route, levels.labels, levels.seed, values, pretrainings)


def _draw(contest: Contest, place: Place) -> Draw:
    """The figures of all starts, then their ranks."""
    figures = np.concatenate([place.values, ranks_of(place.values)])
    return Draw(contest.backbone, place.route, (place.pretrainings, place.seed), figures)


def _first_shares(means: Float[np.ndarray, "draws starts"]) -> Float[np.ndarray, " starts"]:
    """In what share of the draws each comes first; those that tie share one."""
    is_first = means >= means.max(axis=1, keepdims=True) - NO_SPREAD
    return np.asarray(np.mean(is_first / is_first.sum(axis=1, keepdims=True), axis=0))
