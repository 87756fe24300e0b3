"""Fingerprints: what stays the same when a shape is sampled again, turned, moved or scaled.

Centred and scaled to root mean square radius 1, a shape is described by the distribution of its radii
(means of equal shares of the sorted radii), by the spectra of its second moments under three weightings
of the radius, and by invariants of its third moments. Every one is smooth in the points: unlike coordinates
along principal axes, none jumps where a shape has no clear principal axes, as a square table.
"""

import numpy as np
from jaxtyping import Float32, Float64

NUM_SHARES = 16
"""Shares of the sorted radii: as fine as 1024 points support (64 points a share)."""
SOFTENING = 0.1
"""Added to a radius that is divided by, in units of the mean: bounds the weight of central points."""
LARGEST = 1e4
"""Bound of a feature, reached by stray points alone: half precision ends at 65504."""
NUM_FEATURES = NUM_SHARES + 3 * 3 + 4
PRODUCTS = ((0, 0), (0, 1), (0, 2), (1, 1), (1, 2), (2, 2))
SYMMETRIC = np.array([[0, 1, 2], [1, 3, 4], [2, 4, 5]])
"""Where the entries of a symmetric 3 x 3 matrix lie among the `PRODUCTS`."""


def fingerprints(
    centred: Float32[np.ndarray, "clouds 3 points"],
) -> Float32[np.ndarray, "clouds features"]:
    """The fingerprint of each centred cloud; zeros for one whose points coincide."""
    size = np.sqrt((centred**2).sum(1).mean(1))
    planes = centred / np.where(size > 0, size, 1).astype(np.float32)[:, None, None]
    radii = np.sqrt((planes**2).sum(1))
    third, moments = _moments(planes, radii)
    spectra = np.sqrt(np.linalg.eigvalsh(moments).clip(0)).reshape(len(centred), 9)
    features = [_share_means(radii), spectra, _third_invariants(third, moments)]
    return np.concatenate(features, axis=1).clip(-LARGEST, LARGEST).astype(np.float32)


def _share_means(radii: Float32[np.ndarray, "clouds points"]) -> Float64[np.ndarray, "clouds shares"]:
    """Means of `NUM_SHARES` equal shares of the sorted radii, of clouds with any number of points."""
    ordered = np.sort(radii, axis=1)
    total = np.cumsum(ordered, axis=1, dtype=np.float64)
    total = np.concatenate([np.zeros((len(radii), 1)), total], axis=1)
    borders = np.linspace(0, radii.shape[1], NUM_SHARES + 1)
    whole = np.minimum(borders.astype(np.int64), radii.shape[1] - 1)
    at_borders = total[:, whole] + (borders - whole) * ordered[:, whole]
    result: np.ndarray = np.diff(at_borders, axis=1) * (NUM_SHARES / radii.shape[1])
    return result


def _moments(
    planes: Float32[np.ndarray, "clouds 3 points"], radii: Float32[np.ndarray, "clouds points"]
) -> tuple[Float64[np.ndarray, "clouds 3 3 3"], Float64[np.ndarray, "clouds 3 3 3"]]:
    """Third moments, and second moments under the weights 1, r² and 1 / r (first axis)."""
    products = np.stack([planes[:, i] * planes[:, j] for i, j in PRODUCTS], axis=1)
    weights = np.stack([np.ones_like(radii), radii**2, 1 / (radii + np.float32(SOFTENING))], axis=1)
    factors = np.concatenate([planes, weights], axis=1).transpose(0, 2, 1)
    sums = (products @ factors).astype(np.float64) / radii.shape[1]
    tensors = sums[:, SYMMETRIC].transpose(0, 3, 1, 2)
    return tensors[:, :3], tensors[:, 3:]


def _third_invariants(
    third: Float64[np.ndarray, "clouds 3 3 3"], moments: Float64[np.ndarray, "clouds 3 3 3"]
) -> Float64[np.ndarray, "clouds 4"]:
    """Lengths of the third moments, of their trace (the mean of x r²), and of that under two matrices."""
    trace = np.trace(third, axis1=2, axis2=3)
    vectors = [trace, *((moments[:, kind] @ trace[:, :, None])[:, :, 0] for kind in (0, 1))]
    lengths = [np.sqrt((third**2).sum((1, 2, 3))), *(np.linalg.norm(v, axis=1) for v in vectors)]
    return np.stack(lengths, axis=1)
