"""Elastic distortion: clouds bent by smooth random displacements, as scenes are for voxel networks.

Noise on a grid is smoothed and interpolated between its nodes. Choy et al., "4D Spatio-Temporal ConvNets:
Minkowski Convolutional Neural Networks", CVPR 2019, and its scene networks: the smoothing is theirs, two
averages of three along each axis; here the grid reaches beyond the cloud, so that its border is bent as much
as its middle.
"""

import numpy as np
from jaxtyping import Float32, Int64, UInt64

from pointlab.data.sample import Arrays
from pointlab.errors import DataError
from pointlab.seeding import KeyedDraws

MARGIN = 2
"""Nodes beyond those around the cloud, on each side: what the smoothing uses up."""
MOST_NODES = 1 << 22
"""Of one cloud's grid: 50 MB of noise, as for 50 by 50 by 10 metres at a granularity of 20 cm."""
NOISE_BITS = 21
"""Bits of each of a node's three numbers: one draw of 64 bits gives all three."""


def bend(
    arrays: Arrays,
    counts: Int64[np.ndarray, " batch"],
    draws: KeyedDraws,
    elastic: tuple[float, float],
    purpose: str = "elastic",
) -> Arrays:
    """The clouds with their first `counts` points displaced, and normals turned as their surface is.

    `elastic` is (granularity, magnitude): the spacing of the grid, and the factor by which its smoothed
    noise, of a deviation of 0.11, becomes a displacement; both in units of the points. Draws are those for
    `purpose`. Raises DataError where a cloud needs a grid of more than `MOST_NODES`.
    """
    granularity, magnitude = elastic
    bent = {**arrays, "points": arrays["points"].copy()}
    if "normals" in arrays:
        bent["normals"] = arrays["normals"].copy()
    for cloud, count in enumerate(counts):
        points = arrays["points"][cloud, :count].T
        scaled = (points - points.min(axis=1, keepdims=True)) / np.float32(granularity)
        whole = np.floor(scaled)
        nodes = whole.astype(np.int64)
        outer = nodes.max(axis=1) + 2 + 2 * MARGIN
        _require_few(outer, granularity)
        bits = KeyedDraws(draws.roots[cloud : cloud + 1]).bits(purpose, int(outer.prod()))
        corners = _corners(_smoothed(bits.reshape(outer)), nodes)
        offsets, slopes = _interpolated(corners, scaled - whole, with_slopes="normals" in arrays)
        bent["points"][cloud, :count] += (np.float32(magnitude) * offsets).T
        if slopes:
            stretch = np.float32(magnitude / granularity)
            bent["normals"][cloud, :count] = _turned(arrays["normals"][cloud, :count].T, slopes, stretch).T
    return bent


def _require_few(outer: Int64[np.ndarray, "3"], granularity: float) -> None:
    if (num_nodes := int(outer.prod())) > MOST_NODES:
        extent = " by ".join(f"{length * granularity:.4g}" for length in outer)
        raise DataError(
            f"augmentation.elastic has a granularity of {granularity:g}, and a cloud needs a grid of"
            f" {extent}, which has {num_nodes} nodes.",
            expected=f"at most {MOST_NODES}",
            remedy="set a coarser granularity, or augmentation.window, or prepare smaller scenes",
        )


def _smoothed(bits: UInt64[np.ndarray, "x y z"]) -> Float32[np.ndarray, "3 _ _ _"]:
    """Smooth noise on a grid that is shorter by the margin: three numbers a node, each of mean 0."""
    noise = np.stack([_uniform(bits >> np.uint64(NOISE_BITS * axis)) for axis in range(3)])
    for axis in (1, 2, 3, 1, 2, 3):
        noise = _averaged(noise, axis)
    return noise


def _uniform(bits: UInt64[np.ndarray, "x y z"]) -> Float32[np.ndarray, "x y z"]:
    """Numbers of mean 0 and variance 1 from the lowest bits; sums of them are as good as normal."""
    numbers = (bits & np.uint64((1 << NOISE_BITS) - 1)).astype(np.float32)
    numbers += np.float32(0.5 - (1 << NOISE_BITS) / 2)
    numbers *= np.float32(np.sqrt(12) / (1 << NOISE_BITS))
    return numbers


def _averaged(noise: Float32[np.ndarray, "3 _ _ _"], axis: int) -> Float32[np.ndarray, "3 _ _ _"]:
    """Means of three neighbours along an axis, which gets shorter by two."""
    along = np.moveaxis(noise, axis, 0)
    total = along[:-2] + along[1:-1]
    total += along[2:]
    total *= np.float32(1 / 3)
    averaged: Float32[np.ndarray, "3 _ _ _"] = np.moveaxis(total, 0, axis)
    return averaged


def _corners(
    noise: Float32[np.ndarray, "3 x y z"], nodes: Int64[np.ndarray, "3 points"]
) -> Float32[np.ndarray, "3 2 2 2 points"]:
    """What the eight nodes around each point hold."""
    _, _, rows, columns = noise.shape
    first = (nodes[0] * rows + nodes[1]) * columns + nodes[2]
    steps = np.add.outer(np.add.outer(np.array([0, rows * columns]), [0, columns]), [0, 1])
    flat = np.ascontiguousarray(noise).reshape(3, -1)
    held: Float32[np.ndarray, "3 2 2 2 points"] = np.take(flat, steps[..., None] + first, axis=1)
    return held


def _interpolated(
    corners: Float32[np.ndarray, "3 2 2 2 points"],
    within: Float32[np.ndarray, "3 points"],
    *,
    with_slopes: bool,
) -> tuple[Float32[np.ndarray, "3 points"], list[Float32[np.ndarray, "3 points"]]]:
    """Offsets between the nodes, linear along each axis, and their slopes along x, y and z where asked for.

    `within` are places from 0 to 1 between the nodes.
    """
    along_z = _between(corners[..., 0, :], corners[..., 1, :], within[2])
    along_y = _between(along_z[:, :, 0], along_z[:, :, 1], within[1])
    offsets = _between(along_y[:, 0], along_y[:, 1], within[0])
    if not with_slopes:
        return offsets, []
    in_y = along_z[:, :, 1] - along_z[:, :, 0]
    in_z = corners[..., 1, :] - corners[..., 0, :]
    in_z = _between(in_z[:, :, 0], in_z[:, :, 1], within[1])
    return offsets, [
        along_y[:, 1] - along_y[:, 0],
        _between(in_y[:, 0], in_y[:, 1], within[0]),
        _between(in_z[:, 0], in_z[:, 1], within[0]),
    ]


def _between(
    low: Float32[np.ndarray, "*shape points"],
    high: Float32[np.ndarray, "*shape points"],
    share: Float32[np.ndarray, " points"],
) -> Float32[np.ndarray, "*shape points"]:
    mixed: Float32[np.ndarray, "*shape points"] = high - low
    mixed *= share
    mixed += low
    return mixed


def _turned(
    normals: Float32[np.ndarray, "3 points"],
    slopes: list[Float32[np.ndarray, "3 points"]],
    stretch: np.float32,
) -> Float32[np.ndarray, "3 points"]:
    """Unit normals of the bent surface: those of the plane that the Jacobian makes of the tangent plane.

    The cofactors of the Jacobian, which are its inverse transpose but for a factor, have as columns the cross
    products of its columns.
    """
    axes = np.eye(3, dtype=np.float32)[..., None]
    x, y, z = (axis + stretch * slope for axis, slope in zip(axes, slopes, strict=True))
    crossed = (np.cross(y, z, axis=0), np.cross(z, x, axis=0), np.cross(x, y, axis=0))
    turned = sum(normal * each for normal, each in zip(normals, crossed, strict=True))
    unit: Float32[np.ndarray, "3 points"] = turned / np.maximum(np.linalg.norm(turned, axis=0), 1e-12)
    return unit
