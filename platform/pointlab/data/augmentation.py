"""Augmentation: each cloud changed by draws keyed by (seed, epoch, sample id).

The draws depend on nothing else, so a sample looks the same whatever the batch order, the number of
workers or the machine. Normals follow: turned with the cloud, and by the inverse-transpose under
anisotropic scaling.
"""

from typing import Literal

import numpy as np
from pydantic import Field

from pointlab.config import StrictModel
from pointlab.seeding import generator


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
    random_subset: bool = True
    """Draw the points from a farthest-point sample 1.2 times as large, as the papers' fine-tuning does; that
    takes sets prepared with more points than the network sees."""


OVERSAMPLING = 1.2
"""Ratio of the farthest-point sample to the subset drawn from it (1200 for 1024 in Point-BERT)."""


def augment(
    arrays: dict[str, np.ndarray],
    num_points: int,
    config: AugmentationConfig,
    key: tuple[int, int, int],
) -> dict[str, np.ndarray]:
    """A cloud's per-point arrays after one draw; `key` is (seed, epoch, sample id).

    `arrays` hold at least `points` [n, 3], in farthest-point order; at most `num_points` rows come out.
    """
    draw = generator("augmentation", *key)
    available = len(arrays["points"])
    if config.random_subset and available > num_points:
        pool = min(available, round(num_points * OVERSAMPLING))
        rows = draw.permutation(pool)[:num_points]
        arrays = {name: values[rows] for name, values in arrays.items()}
    else:
        arrays = {name: values[:num_points] for name, values in arrays.items()}
    scale = draw.uniform(*config.scale, size=3)
    linear = np.diag(scale) @ draw_rotation(draw, config.rotation)
    shift = draw.uniform(-config.translation, config.translation, size=3)
    moved = dict(arrays)
    moved["points"] = (arrays["points"] @ linear.T + shift).astype(np.float32)
    if config.jitter:
        moved["points"] += draw.normal(0, config.jitter, moved["points"].shape).astype(np.float32)
    if "normals" in arrays:
        turned = arrays["normals"] @ np.linalg.inv(linear)
        length = np.linalg.norm(turned, axis=1, keepdims=True)
        moved["normals"] = (turned / np.maximum(length, 1e-12)).astype(np.float32)
    return moved


def draw_rotation(draw: np.random.Generator, kind: Literal["none", "vertical", "full"]) -> np.ndarray:
    """A 3x3 rotation matrix (columns: images of the axes)."""
    if kind == "none":
        return np.eye(3)
    if kind == "vertical":
        angle = draw.uniform(0, 2 * np.pi)
        cosine, sine = np.cos(angle), np.sin(angle)
        return np.array([[cosine, 0, sine], [0, 1, 0], [-sine, 0, cosine]])
    w, x, y, z = (quaternion := draw.normal(size=4)) / np.linalg.norm(quaternion)
    return np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
            [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
            [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
        ]
    )
