"""How a network that takes so many points at a time sees all points of a scene: whole, or window by window.

A view shows at most `num_points` points. Where there are more, each of several views speaks for its share of
them, and others fill it up, so that every view is as dense as the next. Stored order is that of a sample
(farthest-point or random), so the points that a view speaks for are spread evenly over what it shows.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32, Float64, Int64
from pydantic import Field, model_validator

from pointlab.config import StrictModel

Rows = Int64[np.ndarray, " _"]
SLACK = 1 + 1e-9
"""Rounding must not leave the points at the far end out of the last window."""


class SceneViewConfig(StrictModel):
    """Whole scenes, or windows that slide over the ground."""

    window: float | None = Field(default=None, gt=0)
    """Edge of a square on the ground (x, z), in the units of the cloud; null shows whole scenes. Set it where
    training has `augmentation.window`, to the same."""
    stride: float | None = Field(default=None, gt=0)
    """From one window to the next; null is half a window, so that points lie in four but at the edges."""

    def __str__(self) -> str:
        if self.window is None:
            return "whole scenes"
        return f"windows of {self.window:g}, {self.step:g} apart"

    @property
    def step(self) -> float:
        """From one window to the next, where there are windows."""
        return self.stride or (self.window or 0.0) / 2

    @model_validator(mode="after")
    def _windows_leave_nothing_out(self) -> "SceneViewConfig":
        if self.stride is not None and (self.window is None or self.stride > self.window):
            raise ValueError(
                f"stride is {self.stride:g} and window {self.window}: expected a window at least as large,"
                " so that no point lies between two of them"
            )
        return self


@dataclass(frozen=True)
class SceneView:
    """Rows of a scene that are shown together; the view speaks for the first `num_own` of them."""

    rows: Rows
    num_own: int


def views_of(
    points: Float32[np.ndarray, "points 3"], config: SceneViewConfig, num_points: int, fewest: int
) -> Iterator[SceneView]:
    """Views that together speak for every point: whole, once for each; in windows, in all that it lies in.

    `fewest` points are shown at least, where the scene has them: a window with fewer shows the points nearest
    to its centre, and speaks for those within it alone.
    """
    everyone = np.arange(len(points))
    if config.window is None:
        yield from _shares(everyone, num_points)
        return
    ground = points[:, [0, 2]].astype(np.float64)
    for corner in _corners(ground, config.window, config.step):
        offsets = ground - corner
        within = np.flatnonzero(((offsets >= 0) & (offsets <= config.window * SLACK)).all(1))
        if 0 < len(within) < fewest:
            yield _grown(within, ground, corner + config.window / 2, fewest)
        elif len(within):
            yield from _shares(within, num_points)


def _shares(rows: Rows, num_points: int) -> Iterator[SceneView]:
    """Views of `num_points` of these rows, or of all if there are fewer, that speak for each of them once."""
    num_views = math.ceil(len(rows) / num_points)
    for number in range(num_views):
        own = rows[number::num_views]
        others = np.delete(rows, np.s_[number::num_views])[: num_points - len(own)]
        yield SceneView(np.concatenate([own, others]), len(own))


def _grown(
    within: Rows, ground: Float64[np.ndarray, "points 2"], centre: Float64[np.ndarray, " 2"], fewest: int
) -> SceneView:
    """A window's points, and those outside that are nearest to its centre, `fewest` together."""
    distances = ((ground - centre) ** 2).sum(1)
    distances[within] = -1
    nearest = np.argsort(distances, kind="stable")[:fewest]
    return SceneView(np.concatenate([within, nearest[len(within) :]]), len(within))


def _corners(
    ground: Float64[np.ndarray, "points 2"], window: float, stride: float
) -> Iterator[Float64[np.ndarray, " 2"]]:
    """Lowest corners of windows that cover all points; the last along an axis reach the end or beyond."""
    lowest, highest = ground.min(0), ground.max(0)
    numbers = np.maximum(np.ceil((highest - lowest - window) / stride), 0).astype(int) + 1
    for step in np.ndindex(*numbers):
        yield lowest + np.array(step) * stride
