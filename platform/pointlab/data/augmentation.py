"""Augmentation: each cloud changed by draws keyed by (seed, epoch, sample id), a batch at a time.

The draws depend on nothing else, so a sample looks the same whatever the batch, its order, the number of
workers or the machine. Normals follow: turned with the cloud, and by the inverse-transpose under
anisotropic scaling. What leaves points out is in `partial_clouds`, what bends clouds in `elastic`.
"""

from typing import Literal

import numpy as np
from jaxtyping import Float32, Float64, Int64
from pydantic import Field, field_validator

from pointlab.config import ADDED_LATER, StrictModel
from pointlab.data.elastic import bend
from pointlab.data.partial_clouds import MOST_DROPPED, crop, drop_cuboid
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
    scale_jointly: bool = Field(default=False, json_schema_extra=ADDED_LATER)
    """One factor for all three axes, as for scenes in metres; off, as Point-MAE stretches each axis."""
    flip: bool = Field(default=False, json_schema_extra=ADDED_LATER)
    """Mirror x and mirror z, each in half of the clouds; off, as some objects are no mirror images."""
    elastic: tuple[tuple[float, float], ...] = Field(default=(), json_schema_extra=ADDED_LATER)
    """Granularity and magnitude, in the units of the cloud, of smooth noise that bends it, one after the
    other; none, as objects do not bend. [[0.2, 0.4], [0.8, 1.6]] are those of Minkowski networks on rooms."""
    window: float | None = Field(default=None, gt=0, json_schema_extra=ADDED_LATER)
    """Edge of a square on the ground, around a point that is drawn, outside which nothing is shown: for
    scenes of more points than a network sees. It is the same for all views. Where it has too few points for
    the backbone, the nearest ones outside are shown, too. null: the whole cloud."""
    cuboid_drop: float | None = Field(default=None, gt=0, le=1, json_schema_extra=ADDED_LATER)
    """Largest edges, as a share of the cloud's, of a box around a drawn point that is left out (SLidR: 0.2);
    null: nothing is."""
    colour_jitter: float = Field(default=0.0, ge=0, le=1, json_schema_extra=ADDED_LATER)
    """Largest shift of each colour channel of a cloud, and twice the deviation of noise on each point's, of
    colours from 0 to 1; off. Minkowski networks shift by 0.1."""
    colour_drop: float = Field(default=0.0, ge=0, le=1, json_schema_extra=ADDED_LATER)
    """Chance that a cloud is black, so that its shape has to do; off. What no network reads has no effect."""

    @property
    def keeps_shape(self) -> bool:
        """Whether the views of a cloud show one surface, each moved and stretched as a whole."""
        return self.jitter == 0 and self.crop is None and self.cuboid_drop is None and not self.elastic

    @property
    def least_share(self) -> float:
        """The share of its points that a view keeps at least, whatever is drawn."""
        lowest = 1.0 if self.crop is None else self.crop[0]
        return lowest if self.cuboid_drop is None else lowest * (1 - MOST_DROPPED)

    @property
    def leaving_out(self) -> str:
        """The settings that leave points of a view out, with their values, in words."""
        settings = {"crop": self.crop and list(self.crop), "cuboid_drop": self.cuboid_drop}
        given = (f"augmentation.{name} is {value}" for name, value in settings.items() if value is not None)
        return " and ".join(given)

    @property
    def keeps_all(self) -> bool:
        """Whether nothing is drawn for each view, so that all views of a cloud are the same."""
        is_placed = self.rotation == "none" and self.translation == 0 and self.scale == (1, 1)
        is_coloured = self.colour_jitter == 0 and self.colour_drop == 0
        return is_placed and not self.flip and is_coloured and self.keeps_shape and not self.random_subset

    @field_validator("crop")
    @classmethod
    def _is_a_range_of_shares(cls, value: tuple[float, float] | None) -> tuple[float, float] | None:
        if value is not None and not 0 < value[0] <= value[1] <= 1:
            raise ValueError("crop must be a range of shares within (0, 1], such as [0.5, 0.8]")
        return value

    @field_validator("elastic")
    @classmethod
    def _is_positive(cls, value: tuple[tuple[float, float], ...]) -> tuple[tuple[float, float], ...]:
        if not all(granularity > 0 and magnitude > 0 for granularity, magnitude in value):
            raise ValueError("elastic must be pairs of numbers above 0, such as [[0.2, 0.4], [0.8, 1.6]]")
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


def draw_copy(
    arrays: Arrays, counts: Int64[np.ndarray, " batch"], config: AugmentationConfig, draws: KeyedDraws
) -> tuple[Arrays, Int64[np.ndarray, " batch"]]:
    """One augmented copy of each cloud of a batch, and how many rows of it are real.

    Parts are left out first, then shapes bend, and last the whole is moved.
    """
    if config.crop is not None:
        arrays, counts = crop(arrays, counts, draws, config.crop)
    if config.cuboid_drop is not None:
        arrays, counts = drop_cuboid(arrays, counts, draws, config.cuboid_drop)
    for place, elastic in enumerate(config.elastic):
        arrays = bend(arrays, counts, draws, elastic, f"elastic {place}")
    return augment(arrays, config, draws), counts


def augment(arrays: Arrays, config: AugmentationConfig, draws: KeyedDraws) -> Arrays:
    """The clouds of a batch after one draw for each; `arrays` hold at least `points` [batch, points, 3]."""
    num_clouds, num_points = arrays["points"].shape[:2]
    linear = _draw_scales(draws, config)[:, :, None] * draw_rotations(draws, config.rotation)
    if config.flip:
        linear *= _draw_mirrors(draws)[:, None, :]
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
    if "colours" in arrays:
        moved["colours"] = _recoloured(arrays["colours"], config, draws)
    return moved


def _draw_scales(draws: KeyedDraws, config: AugmentationConfig) -> Float64[np.ndarray, "batch 3"]:
    """A factor for each axis."""
    scale = draws.uniform("scale", 3, *config.scale)
    return scale[:, [0, 0, 0]] if config.scale_jointly else scale


def _draw_mirrors(draws: KeyedDraws) -> Float64[np.ndarray, "batch 3"]:
    """-1 for each axis that is mirrored, 1 for the others: x and z lie on the ground."""
    mirrors = np.ones((len(draws.roots), 3))
    mirrors[:, ::2] = np.where(draws.uniform("flip", 2) < 0.5, -1, 1)
    return mirrors


def _recoloured(
    colours: Float32[np.ndarray, "batch points 3"], config: AugmentationConfig, draws: KeyedDraws
) -> Float32[np.ndarray, "batch points 3"]:
    """The colours shifted, with noise, and black in clouds that are shown without."""
    changed = colours
    if config.colour_jitter:
        shift = draws.uniform("colour shift", 3, -config.colour_jitter, config.colour_jitter)
        noise = draws.normal("colour noise", changed[0].size).reshape(changed.shape)
        changed = changed + (shift[:, None] + config.colour_jitter / 2 * noise).astype(np.float32)
        np.clip(changed, 0, 1, out=changed)
    if config.colour_drop:
        is_shown = draws.uniform("colour drop", 1) >= config.colour_drop
        changed = changed * is_shown[..., None]
    return changed


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
