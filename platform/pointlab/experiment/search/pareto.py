"""Trials under several objectives: which of them no other beats, and which one is recommended of these.

A trial dominates another if it is nowhere worse and somewhere better. Those that none dominates are the
Pareto front: which of them to take is a matter of what one wants. The recommendation is the one with the
largest mean of its objectives, each scaled to [0, 1] over all finished trials: what is lost in one must be
won in others.
"""

from collections.abc import Sequence

RULE = "largest mean of the objectives, each scaled to [0, 1] over all trials; the first of equal ones"

Gains = Sequence[float]
"""A trial's objectives, each so that larger is better."""


def pareto_front(trials: Sequence[Gains]) -> list[int]:
    """Positions of the trials that no other dominates, in their order; equal ones are all kept."""
    return [
        place for place, mine in enumerate(trials) if not any(_dominates(other, mine) for other in trials)
    ]


def _dominates(one: Gains, other: Gains) -> bool:
    pairs = list(zip(one, other, strict=True))
    return all(a >= b for a, b in pairs) and any(a > b for a, b in pairs)


def scaled_means(trials: Sequence[Gains]) -> list[float]:
    """The mean of each trial's objectives, scaled so that all trials span [0, 1] in each.

    A front of two would always tie if it were scaled by itself. An objective in which all trials are equal
    tells nothing and counts 1.
    """
    bounds = [(min(column), max(column)) for column in zip(*trials, strict=True)]
    return [
        sum(_scaled(gain, low, high) for gain, (low, high) in zip(gains, bounds, strict=True)) / len(bounds)
        for gains in trials
    ]


def _scaled(gain: float, low: float, high: float) -> float:
    return (gain - low) / (high - low) if high > low else 1.0
