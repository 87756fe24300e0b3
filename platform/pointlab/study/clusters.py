"""Cells as draws: what rests on one pretrained backbone stands or falls together and counts as one.

A cluster is what the same pretrainings give at one seed; its figures are the mean over its routes, and within
a route over its labels. A stratum holds the clusters of one backbone and the same routes: routes that share
no pretraining are strata of their own, as nothing of one is drawn with the other.
"""

from collections.abc import Hashable, Iterable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

Figures = Float[np.ndarray, " figures"]


@dataclass(frozen=True)
class Draw:
    """What was found at one place."""

    backbone: str
    route: str
    cluster: Hashable
    """The pretrainings that it rests on, and the seed."""
    figures: Figures


@dataclass(frozen=True)
class Stratum:
    """The figures of clusters that one could draw more of."""

    clusters: Float[np.ndarray, "clusters figures"]
    weight: float
    """Every route counts alike, so a stratum counts as often as it has routes."""


def strata_of(draws: Iterable[Draw]) -> list[Stratum]:
    """The draws by what they share; the order of strata and clusters is that in which they first appear."""
    clusters: dict[tuple[str, Hashable], dict[str, list[Figures]]] = {}
    for draw in draws:
        clusters.setdefault((draw.backbone, draw.cluster), {}).setdefault(draw.route, []).append(draw.figures)
    strata: dict[tuple[str, tuple[str, ...]], list[Figures]] = {}
    for (backbone, _), routes in clusters.items():
        figures = np.mean([np.mean(found, axis=0) for found in routes.values()], axis=0)
        strata.setdefault((backbone, tuple(sorted(routes))), []).append(figures)
    return [Stratum(np.stack(found), float(len(routes))) for (_, routes), found in strata.items()]


def mean_of(strata: Iterable[Stratum]) -> Figures:
    """The mean over strata by their weight, and within a stratum over its clusters."""
    found = list(strata)
    weights = [stratum.weight for stratum in found]
    return np.average([stratum.clusters.mean(axis=0) for stratum in found], axis=0, weights=weights)
