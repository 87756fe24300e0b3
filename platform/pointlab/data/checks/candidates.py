"""Candidates: which clouds of two splits may be the same shape, by their fingerprints alone.

Differences of fingerprints are measured in units of the noise of sampling, which the set itself tells: some
clouds were halved when they were examined. Two samplings of one shape lie about 1 unit apart.
"""

import numpy as np
from jaxtyping import Float64, Int64
from scipy.spatial import cKDTree

from pointlab.data.checks.fingerprints import NUM_FEATURES

NUM_NEIGHBOURS = 8
"""Candidates of a cloud: of 35 known twins in ModelNet10, 32 are among the nearest 8 and all among 16."""
LIMIT = 2.0
"""Root mean square difference in units of noise: beyond, hardly any twin is found, and many a stranger."""
RIDGE = 0.05
"""Share of the mean variance added to each feature: bounds the weight of features with hardly any noise."""
TYPICAL_NOISE, NUM_TYPICAL = 0.015, 5
"""Root mean square of the noise of 1024 points, and the number of halved clouds that it counts for: small
sets have few."""


def noise_weights(records: np.ndarray) -> Float64[np.ndarray, "features features"]:
    """The matrix that makes the noise of fingerprints, as row vectors, white: root mean square 1 a feature.

    Halves have half the points, so the difference of two halves varies twice as much as that of two wholes.
    """
    halves = records["noise"].astype(np.float64)
    halves = halves[np.isfinite(halves[:, 0])]
    identity = np.eye(NUM_FEATURES)
    typical = NUM_TYPICAL * TYPICAL_NOISE**2 * identity
    covariance = (halves.T @ halves / 2 + typical) / (len(halves) + NUM_TYPICAL)
    covariance += RIDGE * np.trace(covariance) / NUM_FEATURES * identity
    weights: np.ndarray = np.linalg.cholesky(np.linalg.inv(covariance))
    return weights


def find_candidates(
    earlier: np.ndarray, later: np.ndarray, weights: Float64[np.ndarray, "features features"]
) -> tuple[Int64[np.ndarray, " candidates"], Int64[np.ndarray, " candidates"]]:
    """Rows of the earlier and of the later split, neither empty, that may be twins, the most alike first."""
    places = [records["fingerprint"].astype(np.float64) @ weights for records in (earlier, later)]
    number = min(NUM_NEIGHBOURS, len(earlier))
    reach = LIMIT * np.sqrt(NUM_FEATURES)
    distances, rows = cKDTree(places[0]).query(
        places[1], k=[*range(1, number + 1)], distance_upper_bound=reach
    )
    later_rows, neighbours = np.nonzero(np.isfinite(distances))
    found = distances[later_rows, neighbours]
    order = np.lexsort((later_rows, neighbours, found))
    return rows[later_rows, neighbours][order], later_rows[order]
