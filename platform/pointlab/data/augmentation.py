"""Augmentation: each cloud changed by draws keyed by (seed, epoch, sample id), a batch at a time.

The draws depend on nothing else, so a sample looks the same whatever the batch, its order, the number of
workers or the machine. Normals follow: turned with the cloud, and by the inverse-transpose under
anisotropic scaling.
"""

from typing import Literal

import numpy as np
from jaxtyping import Bool, Float32, Float64, Int64
from pydantic import Field, field_validator

from pointlab.config import StrictModel
from pointlab.data.sample import Arrays
from pointlab.seeding import KeyedDraws


class AugmentationConfig(StrictModel):
    """What is drawn for every training cloud; the default is the papers' scale and translation."""

    rotation: Literal["none", "vertical", "full"] = "none"
    """vertical: a uniform angle about y, as ReCon and ACT use on scans; full: a uniform rotation."""
    scale: tuple[float, float] = (2 / 3, 3 / 2)
    """Range of a factor drawn per axis (Point-MAE)."""
    translation: float = Field(default=0.2, ge=0)
    """Largest shift along each axis, uniform (Point-MAE)."""
    jitter: float = Field(default=0.0, ge=0)
    """Standard deviation of Gaussian noise on every coordinate; off, as in the patch models' recipes."""
    crop: tuple[float, float] | None = None
    """Range of the share of its points that a cloud shows, those nearest to one side of it, as from a single
    place; the rest is left out, and what is shown is centred and scaled to the unit sphere again."""
    random_subset: bool = True
    """Draw the points from a farthest-point sample 1.2 times as large, as the papers' fine-tuning does; that
    takes sets prepared with more points than the network sees."""

    @property
    def keeps_shape(self) -> bool:
        """Whether clouds are moved and stretched as a whole, but show the same surface as before."""
        return self.jitter == 0 and self.crop is None

    @property
    def keeps_all(self) -> bool:
        """Whether nothing is drawn, so that every copy of a cloud is the same."""
        is_placed = self.rotation == "none" and self.translation == 0 and self.scale == (1, 1)
        return is_placed and self.keeps_shape and not self.random_subset

    @field_validator("crop")
    @classmethod
    def _is_a_range_of_shares(cls, value: tuple[float, float] | None) -> tuple[float, float] | None:
        if value is not None and not 0 < value[0] <= value[1] <= 1:
            raise ValueError("crop must be a range of shares within (0, 1], such as [0.5, 0.8]")
        return value


OVERSAMPLING = 1.2
"""Ratio of the farthest-point sample to the subset drawn from it (1200 for 1024 in Point-BERT)."""


def choose_points(
    draws: KeyedDraws, available: Int64[np.ndarray, " batch"], num_points: int, config: AugmentationConfig
) -> Int64[np.ndarray, "batch {num_points}"]:
    """Which of its `available` points each cloud shows, by their places in the stored order.

    A cloud with fewer than `num_points` shows all of them; the places beyond hold anything.
    """
    in_order = np.broadcast_to(np.arange(num_points), (len(available), num_points))
    if not config.random_subset or not (available > num_points).any():
        return in_order
    pools = np.minimum(available, round(num_points * OVERSAMPLING))
    # A random key above, the place below: sorted, the places come in random order. Keys of 32 bits sort
    # fastest; where two are equal, which is rare, their places stay in order.
    width = int(pools.max())
    place_bits = width.bit_length()
    keys = (draws.bits("subset", width) >> np.uint64(32 + place_bits)).astype(np.uint32) << place_bits
    places = np.arange(width, dtype=np.uint32)
    keys |= places
    keys[places >= pools[:, None]] = np.iinfo(np.uint32).max
    keys.sort(axis=1)
    chosen = (keys[:, :num_points] & np.uint32((1 << place_bits) - 1)).astype(np.int64)
    return np.where((available > num_points)[:, None], chosen, in_order)


def crop(
    arrays: Arrays, counts: Int64[np.ndarray, " batch"], draws: KeyedDraws, shares: tuple[float, float]
) -> tuple[Arrays, Int64[np.ndarray, " batch"]]:
    """The clouds seen from one side each, and how many of their points that leaves, in the order they had.

    A direction is drawn for each cloud, and the points that lie farthest along it are kept; what is kept is
    centred on its mean and scaled so that its farthest point lies at radius 1.
    """
    directions = draws.normal("crop direction", 3)
    kept = np.ceil(counts * draws.uniform("crop share", 1, *shares)[:, 0]).astype(np.int64)
    heights = np.einsum("bpc,bc->bp", arrays["points"].astype(np.float64), directions)
    is_real = np.arange(heights.shape[1]) < counts[:, None]
    heights[~is_real] = -np.inf
    rank = np.argsort(np.argsort(-heights, axis=1, kind="stable"), axis=1, kind="stable")
    order = np.argsort(rank >= kept[:, None], axis=1, kind="stable")  # the kept ones first, as they were
    shown = {
        name: np.take_along_axis(values, order if values.ndim == 2 else order[..., None], axis=1)
        for name, values in arrays.items()
    }
    is_shown = (np.arange(heights.shape[1]) < kept[:, None])[..., None]
    shown["points"] = _in_unit_sphere(shown["points"], is_shown, kept)
    return shown, kept


def _in_unit_sphere(
    points: Float32[np.ndarray, "batch points 3"],
    is_shown: Bool[np.ndarray, "batch points 1"],
    counts: Int64[np.ndarray, " batch"],
) -> Float32[np.ndarray, "batch points 3"]:
    """The shown points centred on their mean, the farthest at radius 1; the others hold anything."""
    wide = points.astype(np.float64)
    wide -= (wide * is_shown).sum(1, keepdims=True) / counts[:, None, None]
    radius = np.sqrt(((wide * is_shown) ** 2).sum(2).max(1))
    wide /= np.where(radius > 0, radius, 1)[:, None, None]
    return wide.astype(np.float32)


def augment(arrays: Arrays, config: AugmentationConfig, draws: KeyedDraws) -> Arrays:
    """The clouds of a batch after one draw for each; `arrays` hold at least `points` [batch, points, 3]."""
    num_clouds, num_points = arrays["points"].shape[:2]
    scale = draws.uniform("scale", 3, *config.scale)
    linear = scale[:, :, None] * draw_rotations(draws, config.rotation)
    shift = draws.uniform("shift", 3, -config.translation, config.translation).astype(np.float32)
    moved = dict(arrays)
    moved["points"] = arrays["points"] @ linear.transpose(0, 2, 1).astype(np.float32)
    for axis in range(3):  # five times as fast as adding rows of three numbers
        moved["points"][..., axis] += shift[:, axis, None]
    if config.jitter:
        noise = draws.normal("jitter", 3 * num_points).reshape(num_clouds, num_points, 3)
        moved["points"] += (config.jitter * noise).astype(np.float32)
    if "normals" in arrays:
        turned = arrays["normals"] @ np.linalg.inv(linear).astype(np.float32)
        turned /= np.maximum(np.linalg.norm(turned, axis=2, keepdims=True), 1e-12)
        moved["normals"] = turned
    return moved


def draw_rotations(
    draws: KeyedDraws, kind: Literal["none", "vertical", "full"]
) -> Float64[np.ndarray, "batch 3 3"]:
    """A rotation matrix for each cloud (columns: images of the axes)."""
    if kind == "full":
        return _of_quaternions(_uniform_quaternions(draws.uniform("rotation", 3)))
    rotations = np.broadcast_to(np.eye(3), (len(draws.roots), 3, 3)).copy()
    if kind == "vertical":
        angle = 2 * np.pi * draws.uniform("rotation", 1)[:, 0]
        rotations[:, [0, 2], [0, 2]] = np.cos(angle)[:, None]
        rotations[:, 0, 2], rotations[:, 2, 0] = np.sin(angle), -np.sin(angle)
    return rotations


def _uniform_quaternions(uniform: Float64[np.ndarray, "batch 3"]) -> Float64[np.ndarray, "batch 4"]:
    """Unit quaternions spread evenly (Shoemake, "Uniform Random Rotations", Graphics Gems III, 1992)."""
    share, first, second = uniform.T
    inner, outer = np.sqrt(1 - share), np.sqrt(share)
    angles = 2 * np.pi * first, 2 * np.pi * second
    parts = [
        inner * np.sin(angles[0]),
        inner * np.cos(angles[0]),
        outer * np.sin(angles[1]),
        outer * np.cos(angles[1]),
    ]
    return np.stack(parts, axis=1)


def _of_quaternions(quaternions: Float64[np.ndarray, "batch 4"]) -> Float64[np.ndarray, "batch 3 3"]:
    w, x, y, z = quaternions.T
    rows = [
        [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
        [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
        [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
    ]
    return np.array(rows).transpose(2, 0, 1)
